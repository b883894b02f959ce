{{ config(strategy='full', key=['promotion_id']) }}

select
    promotion_id,
    {{ cleaned_text('promotion_name') }} as promotion_name,
    case upper(trim(promotion_type))
        when 'PC' then 'percent_off'
        when 'AM' then 'amount_off'
        when 'FS' then 'free_shipping'
        else 'unknown'
    end as promotion_type,
    case upper(trim(promotion_type)) when 'PC' then discount_percent end as discount_percent,
    case upper(trim(promotion_type)) when 'AM' then discount_percent end as discount_amount,
    minimum_value,
    starts_on,
    ends_on,
    budget
from {{ source('bronze', 'promotion') }}
