{% macro cancellation_matches(movements) -%}
{#- Which sale a cancellation cancels, as the CTEs that end with `matches` (sale_line_id, cancellation_line_id, quantity).

    `movements` names a relation with the sales and cancellations of the goods that were ever cancelled: line_id, customer_no,
    item_code, unit_price, invoiced_at, pieces (above zero) and is_cancellation (0 or 1).

    A cancellation can only cancel what the same customer bought before of the same item at the same price.
    1. Exactly: a cancellation takes the most recent sale of the same quantity that is still free. Sales open levels and
       cancellations close them, as brackets do, so the partner is the line before it on its level.
    2. The rest in parts, first in first out: laid end to end, the pieces sold and the pieces cancelled match where they overlap.
       What is cancelled beyond the pieces sold so far matches nothing: the sale lies before the data, or had another price.
    Ties of time are broken by kind (sales first) and line_id. -#}
{%- set same_goods = 'customer_no, item_code, unit_price' -%}
{%- set in_order = 'order by invoiced_at, is_cancellation, line_id' -%}
open_sales as (
    select
        m.*,
        sum(1 - 2 * is_cancellation) over (
            partition by {{ same_goods }}, pieces {{ in_order }} rows unbounded preceding
        ) as balance
    from {{ movements }} as m
),

lowest_balances as (
    select
        open_sales.*,
        least(0, min(balance) over (
            partition by {{ same_goods }}, pieces {{ in_order }} rows unbounded preceding
        )) as lowest
    from open_sales
),

levels as (
    select
        lowest_balances.*,
        case
            when is_cancellation = 0 then balance - lowest
            when lowest < lag(lowest, 1, 0) over (partition by {{ same_goods }}, pieces {{ in_order }}) then 0
            else balance - lowest + 1
        end as bracket_level
    from lowest_balances
),

exact_partners as (
    select
        levels.*,
        case
            when is_cancellation = 1 and bracket_level > 0
                then lag(line_id) over (partition by {{ same_goods }}, pieces, bracket_level {{ in_order }})
        end as sale_line_id
    from levels
),

left_over as (
    select p.*
    from exact_partners as p
    left join exact_partners as taken on p.line_id = taken.sale_line_id
    where p.sale_line_id is null and taken.line_id is null
),

piece_balances as (
    select
        left_over.*,
        sum((1 - 2 * is_cancellation) * pieces) over (
            partition by {{ same_goods }} {{ in_order }} rows unbounded preceding
        ) as piece_balance
    from left_over
),

lowest_piece_balances as (
    select
        piece_balances.*,
        least(0, min(piece_balance) over (
            partition by {{ same_goods }} {{ in_order }} rows unbounded preceding
        )) as lowest_pieces
    from piece_balances
),

covered_pieces as (
    select
        lowest_piece_balances.*,
        pieces - is_cancellation * (lag(lowest_pieces, 1, 0) over (
            partition by {{ same_goods }} {{ in_order }}
        ) - lowest_pieces) as covered
    from lowest_piece_balances
),

spans as (
    select
        covered_pieces.*,
        sum(covered) over (
            partition by {{ same_goods }}, is_cancellation order by invoiced_at, line_id rows unbounded preceding
        ) as span_end
    from covered_pieces
),

matches as (
    select sale_line_id, line_id as cancellation_line_id, pieces as quantity
    from exact_partners
    where sale_line_id is not null
    union all
    select
        s.line_id as sale_line_id,
        c.line_id as cancellation_line_id,
        least(s.span_end, c.span_end) - greatest(s.span_end - s.covered, c.span_end - c.covered) as quantity
    from spans as s
    inner join spans as c
        on
            s.customer_no = c.customer_no
            and s.item_code = c.item_code
            and s.unit_price = c.unit_price
            and s.span_end > c.span_end - c.covered
            and c.span_end > s.span_end - s.covered
    where s.is_cancellation = 0 and c.is_cancellation = 1 and c.covered > 0
)
{%- endmacro %}
