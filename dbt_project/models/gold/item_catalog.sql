{{ config(strategy='scope', scope=['item_code'], key=['item_code']) }}
{% call touched() %}
    select item_code from {{ changed(ref('items')) }}
    union all
    select item_code from {{ changed(ref('invoice_lines')) }}
{% endcall %}

with sales as (
    select
        l.item_code,
        min(cast(l.invoiced_at as date)) as first_sold_on,
        max(cast(l.invoiced_at as date)) as last_sold_on,
        cast(count(distinct l.invoice_no) as bigint) as orders,
        cast(count(distinct l.customer_no) as bigint) as customers,
        cast(sum(l.quantity) as bigint) as units_sold,
        cast(sum(l.cancelled_quantity) as bigint) as units_cancelled,
        cast(sum(l.line_value) as decimal(24, 4)) as sales_value,
        cast(sum((l.quantity - l.cancelled_quantity) * l.unit_price) as decimal(24, 4)) as net_value
    from {{ scoped(ref('invoice_lines')) }} as l
    where l.line_type = 'sale'
    group by l.item_code
)

select
    i.item_code,
    i.description,
    i.category_code,
    i.list_price,
    i.cost_price,
    i.status,
    i.introduced_on,
    i.discontinued_on,
    s.first_sold_on,
    s.last_sold_on,
    coalesce(s.orders, 0) as orders,
    coalesce(s.customers, 0) as customers,
    coalesce(s.units_sold, 0) as units_sold,
    coalesce(s.units_cancelled, 0) as units_cancelled,
    coalesce(s.sales_value, 0) as sales_value,
    coalesce(s.net_value, 0) as net_value,
    cast({{ quotient('s.sales_value', 's.units_sold', 4) }} as decimal(12, 4)) as average_price
from {{ scoped(ref('items')) }} as i
left join sales as s on i.item_code = s.item_code
where i.item_kind = 'goods'
