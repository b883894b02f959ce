{{ config(strategy='scope', scope=['promotion_id', 'customer_no'], key=['promotion_id', 'customer_no']) }}
{% call touched() %}
    select promotion_id, customer_no from {{ changed(source('bronze', 'campaign_contact')) }}
{% endcall %}

select
    c.promotion_id,
    c.customer_no,
    c.contacted_on,
    case upper(trim(c.channel_code))
        when 'EM' then 'email'
        when 'SM' then 'sms'
        when 'PO' then 'post'
        else 'unknown'
    end as channel,
    case upper(trim(c.group_code)) when 'T' then 'treatment' when 'C' then 'control' end as trial_group,
    coalesce(upper(trim(c.redeemed_flag)) = 'Y', false) as is_redeemed,
    {{ known_date('c.redeemed_on', '9999-12-31') }} as redeemed_on,
    upper({{ cleaned_text('c.redeemed_invoice_no') }}) as redeemed_invoice_no,
    c.updated_at as known_at
from {{ scoped(source('bronze', 'campaign_contact')) }} as c
