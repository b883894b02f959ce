{{ config(
    strategy='scope', scope=['customer_no', 'item_code'], key=['line_id'], partition_by=['invoiced_month']
) }}
{#- Doubled lines and the lines of a cancellation and its sale share customer and item: so these are the scopes. -#}
{% call touched() %}
    select customer_no, {{ item_code('item_no') }} as item_code
    from {{ changed(source('bronze', 'invoice_line')) }}
{% endcall %}

with merged as (
    select
        min(l.line_id) as line_id,
        l.invoice_no,
        l.item_no,
        l.description,
        l.quantity,
        l.unit_price,
        l.invoiced_at,
        l.customer_no,
        l.country,
        cast(count(*) as integer) as copies
    from {{ source('bronze', 'invoice_line') }} as l
    where
        {{ reject_reason('l') }} is null
        and {{ in_scope('l', item_code=item_code('l.item_no')) }}
    group by
        l.invoice_no, l.item_no, l.description, l.quantity, l.unit_price, l.invoiced_at, l.customer_no, l.country
),

cleaned as (
    select
        line_id,
        upper(trim(invoice_no)) as invoice_no,
        {{ item_code('item_no') }} as item_code,
        {{ item_kind(item_code('item_no')) }} as item_kind,
        {{ cleaned_text('description') }} as description,
        quantity,
        unit_price,
        cast(quantity * unit_price as decimal(18, 4)) as line_value,
        invoiced_at,
        customer_no,
        {{ cleaned_text('country') }} as country,
        copies
    from merged
),

lines as (
    select
        cleaned.*,
        case
            when invoice_no like 'A%' then 'bad_debt'
            when invoice_no like 'C%' then 'cancellation'
            when quantity < 0 and unit_price = 0 then 'write_off'
            when item_kind <> 'goods' then 'non_product'
            when quantity < 0 or unit_price < 0 then 'adjustment'
            when unit_price > 0 then 'sale'
            when customer_no is not null then 'free_of_charge'
            else 'adjustment'
        end as line_type
    from cleaned
),

{{ cancellation_matches('lines') }},

both_sides as (
    select
        sale_line_id as line_id,
        cancellation_line_id as partner_line_id,
        quantity
    from matches
    union all
    select
        cancellation_line_id as line_id,
        sale_line_id as partner_line_id,
        quantity
    from matches
),

matched_lines as (
    select
        line_id,
        cast(sum(quantity) as integer) as quantity,
        min(partner_line_id) as partner_line_id
    from both_sides
    group by line_id
)

select
    l.line_id,
    l.invoice_no,
    l.item_code,
    l.item_kind,
    l.description,
    l.line_type,
    l.quantity,
    l.unit_price,
    l.line_value,
    l.invoiced_at,
    {{ month_of('l.invoiced_at') }} as invoiced_month,
    l.customer_no,
    l.country,
    l.copies,
    coalesce(m.quantity, 0) as cancelled_quantity,
    m.partner_line_id as matched_line_id
from lines as l
left join matched_lines as m on l.line_id = m.line_id
