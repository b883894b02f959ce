{{ config(strategy='scope', scope=['line_id'], key=['line_id']) }}
{% call touched() %}
    select line_id from {{ changed(source('bronze', 'invoice_line')) }}
{% endcall %}

select
    l.line_id,
    {{ reject_reason('l') }} as reason,
    l.invoice_no,
    l.item_no,
    l.description,
    l.quantity,
    l.unit_price,
    l.invoiced_at,
    l.customer_no,
    l.country
from {{ scoped(source('bronze', 'invoice_line')) }} as l
where {{ reject_reason('l') }} is not null
