{{ config(strategy='scope', scope=['invoice_no'], key=['line_id'] ) }}
{% call touched() %} select invoice_no from {{ changed(source('bronze', 'invoice_line')) }} {% endcall %}
select line_id, invoice_no, quantity, cast(quantity * unit_price as decimal(18, 4)) as value, invoiced_at, customer_no
from {{ source('bronze', 'invoice_line') }} as l
where {{ in_scope('l') }}
