{{ config(strategy='full', key=['promotion_id']) }}

select
    p.promotion_id,
    {{ cleaned_text('p.promotion_name') }} as promotion_name,
    case upper(trim(p.promotion_type))
        when 'PC' then 'percent_off'
        when 'AM' then 'amount_off'
        when 'FS' then 'free_shipping'
        else 'unknown'
    end as promotion_type,
    case upper(trim(p.promotion_type)) when 'PC' then p.discount_percent end as discount_percent,
    case upper(trim(p.promotion_type)) when 'AM' then p.discount_percent end as discount_amount,
    p.minimum_value,
    p.starts_on,
    p.ends_on,
    p.budget
from {{ source('bronze', 'promotion') }} as p
