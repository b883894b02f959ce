{{ config(strategy='scope', scope=['customer_no'], key=['customer_no', 'order_no']) }}
{% call touched() %}
    select customer_no from {{ changed(ref('invoice_lines')) }} where customer_no is not null
{% endcall %}

with orders as (
    select
        l.customer_no,
        l.invoice_no as order_no,
        min(l.invoiced_at) as ordered_at,
        min(l.country) as country,
        cast(sum(case when l.item_kind = 'goods' then 1 else 0 end) as integer) as lines,
        cast(count(distinct case when l.item_kind = 'goods' then l.item_code end) as integer) as items,
        cast(sum(case when l.item_kind = 'goods' then l.quantity else 0 end) as bigint) as units,
        cast(sum(case when l.item_kind = 'goods' then l.line_value else 0 end) as decimal(18, 4)) as goods_value,
        cast(sum(case when l.item_kind <> 'goods' then l.line_value else 0 end) as decimal(18, 4)) as service_value,
        cast(sum(case when l.item_kind = 'goods' then l.cancelled_quantity else 0 end) as bigint) as cancelled_units,
        cast(sum(l.cancelled_quantity * l.unit_price) as decimal(18, 4)) as cancelled_value
    from {{ scoped(ref('invoice_lines')) }} as l
    where
        l.customer_no is not null
        and l.line_type in ('sale', 'non_product', 'free_of_charge')
    group by l.customer_no, l.invoice_no
)

select
    customer_no,
    order_no,
    ordered_at,
    country,
    cast(row_number() over (partition by customer_no order by ordered_at, order_no) as integer) as order_number,
    cast(
        date_diff(
            'day',
            lag(cast(ordered_at as date)) over (partition by customer_no order by ordered_at, order_no),
            cast(ordered_at as date)
        ) as integer
    ) as days_since_previous,
    lines,
    items,
    units,
    goods_value,
    service_value,
    cancelled_units,
    cancelled_value,
    cast(goods_value + service_value - cancelled_value as decimal(18, 4)) as net_value
from orders
