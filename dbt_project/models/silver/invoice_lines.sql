{%- set lone_invoice = "case when customer_no is null then upper(trim(invoice_no)) end" -%}
{{ config(
    strategy='scope', scope=['customer_no', 'item_code', 'lone_invoice'], key=['line_id'],
    scope_of={'lone_invoice': lone_invoice}
) }}
{#- Doubled lines share invoice, customer and item, and a cancellation and its sale customer and item: these are
    the scopes. A fifth of all lines has no customer, and without one nothing is matched: there the invoice tells them
    apart, or a day would touch them all. Bronze is read several times, mostly few of its columns, and never grouped
    whole: so its rows pass in their order, and memory stays small. -#}
{% call touched() %}
    select
        customer_no,
        {{ item_code('item_no') }} as item_code,
        {{ lone_invoice }} as lone_invoice
    from {{ changed(source('bronze', 'invoice_line')) }}
{% endcall %}
{% set lines = scoped(
    source('bronze', 'invoice_line'), item_code=item_code('item_no'), lone_invoice=lone_invoice
) %}
{% set accepted = reject_reason('l') ~ ' is null' %}

with codes as (
    {#- A few thousand codes, so that they are cleaned and told apart once and not on every line. -#}
    select
        l.item_no,
        {{ item_code('l.item_no') }} as item_code,
        {{ item_kind(item_code('l.item_no')) }} as item_kind
    from {{ lines }} as l
    where l.item_no is not null
    group by l.item_no
),

repeated_pairs as (
    select
        l.invoice_no,
        l.item_no
    from {{ lines }} as l
    where {{ accepted }}
    group by l.invoice_no, l.item_no
    having count(*) > 1
),

copies as (
    select
        l.line_id,
        row_number() over (
            partition by
                l.invoice_no, l.item_no, l.description, l.quantity,
                l.unit_price, l.invoiced_at, l.customer_no, l.country
            order by l.line_id
        ) as copy_number,
        count(*) over (
            partition by
                l.invoice_no, l.item_no, l.description, l.quantity,
                l.unit_price, l.invoiced_at, l.customer_no, l.country
        ) as copies,
        min(l.updated_at) over (
            partition by
                l.invoice_no, l.item_no, l.description, l.quantity,
                l.unit_price, l.invoiced_at, l.customer_no, l.country
        ) as known_at
    from {{ lines }} as l
    inner join repeated_pairs as r on l.invoice_no = r.invoice_no and l.item_no = r.item_no
    where {{ accepted }}
),

cancelled_goods as (
    select distinct
        l.customer_no,
        {{ item_code('l.item_no') }} as item_code,
        l.unit_price
    from {{ lines }} as l
    where
        {{ is_cancellation('l') }}
        and l.customer_no is not null
        and {{ accepted }}
),

movements as (
    select
        l.line_id,
        l.customer_no,
        g.item_code,
        l.unit_price,
        l.invoiced_at,
        cast(abs(l.quantity) as bigint) as pieces,
        case when {{ is_cancellation('l') }} then 1 else 0 end as is_cancellation
    from {{ lines }} as l
    inner join cancelled_goods as g
        on
            l.customer_no = g.customer_no
            and {{ item_code('l.item_no') }} = g.item_code
            and l.unit_price = g.unit_price
    left join copies as c on l.line_id = c.line_id
    where
        coalesce(c.copy_number, 1) = 1
        and l.unit_price > 0
        and (({{ is_cancellation('l') }}) or (l.quantity > 0 and not {{ is_bad_debt('l') }}))
        and {{ accepted }}
),

{{ cancellation_matches('movements') }},

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
    upper(trim(l.invoice_no)) as invoice_no,
    k.item_code,
    k.item_kind,
    {{ cleaned_text('l.description') }} as description,
    case
        when {{ is_bad_debt('l') }} then 'bad_debt'
        when {{ is_cancellation('l') }} then 'cancellation'
        when l.quantity < 0 and l.unit_price = 0 then 'write_off'
        when k.item_kind <> 'goods' then 'non_product'
        when l.quantity < 0 or l.unit_price < 0 then 'adjustment'
        when l.unit_price > 0 then 'sale'
        when l.customer_no is not null then 'free_of_charge'
        else 'adjustment'
    end as line_type,
    l.quantity,
    l.unit_price,
    cast(l.quantity * l.unit_price as decimal(18, 4)) as line_value,
    l.invoiced_at,
    coalesce(c.known_at, l.updated_at) as known_at,
    l.customer_no,
    {{ cleaned_text('l.country') }} as country,
    cast(coalesce(c.copies, 1) as integer) as copies,
    coalesce(m.quantity, 0) as cancelled_quantity,
    m.partner_line_id as matched_line_id
from {{ lines }} as l
inner join codes as k on l.item_no = k.item_no
left join copies as c on l.line_id = c.line_id
left join matched_lines as m on l.line_id = m.line_id
where
    coalesce(c.copy_number, 1) = 1
    and {{ accepted }}
