{{ config(strategy='scope', scope=['line_id'], key=['line_id']) }}
{% call touched() %}
    select line_id from {{ changed(ref('invoice_lines')) }}
{% endcall %}

select
    l.line_id,
    l.customer_no,
    l.item_code,
    l.invoiced_at as bought_at,
    l.quantity - l.cancelled_quantity as quantity,
    cast((l.quantity - l.cancelled_quantity) * l.unit_price as decimal(18, 4)) as value
from {{ scoped(ref('invoice_lines')) }} as l
where
    l.customer_no is not null
    and l.item_kind = 'goods'
    and l.line_type = 'sale'
    and l.quantity > l.cancelled_quantity
