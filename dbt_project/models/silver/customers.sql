{{ config(strategy='scope', scope=['customer_no'], key=['customer_no']) }}
{#- Names, addresses, numbers and birthdays stay on premises: what leaves are facts that single nobody out. -#}
{% call touched() %}
    select customer_no from {{ changed(source('bronze', 'customer')) }}
    union all
    select customer_no from {{ changed(source('bronze', 'invoice_line')) }}
{% endcall %}

with master as (
    select
        c.customer_no,
        {{ cleaned_text('c.country') }} as country,
        case
            when {{ cleaned_text('c.country') }} <> 'United Kingdom' then null
            when {{ matches('upper(trim(c.postcode))', '^[A-Z][A-Z][0-9]') }} then substr(upper(trim(c.postcode)), 1, 2)
            when {{ matches('upper(trim(c.postcode))', '^[A-Z][0-9]') }} then substr(upper(trim(c.postcode)), 1, 1)
        end as postcode_area,
        cast(extract(year from {{ known_date('c.birth_date', '1900-01-01') }}) as integer) as birth_year,
        {{ cleaned_text('c.email') }} is not null as has_email,
        {{ cleaned_text('c.phone') }} is not null as has_phone,
        coalesce(upper(trim(c.marketing_consent)) = 'Y', false) as has_marketing_consent,
        coalesce(upper(trim(c.active_flag)) = 'Y', false) as is_active,
        c.created_on as opened_on
    from {{ scoped(source('bronze', 'customer')) }} as c
),

everyone as (
    select m.customer_no from master as m
    union
    select l.customer_no
    from {{ scoped(source('bronze', 'invoice_line')) }} as l
    where l.customer_no is not null
)

select
    e.customer_no,
    m.customer_no is not null as in_customer_master,
    m.country,
    m.postcode_area,
    m.birth_year,
    m.has_email,
    m.has_phone,
    coalesce(m.has_marketing_consent, false) as has_marketing_consent,
    m.is_active,
    m.opened_on
from everyone as e
left join master as m on e.customer_no = m.customer_no
