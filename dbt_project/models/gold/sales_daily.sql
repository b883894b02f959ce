{{ config(strategy='scope', scope=['sold_on'], key=['sold_on', 'country']) }}
{% call touched() %}
    select cast(invoiced_at as date) as sold_on from {{ changed(ref('invoice_lines')) }}
{% endcall %}

select
    cast(l.invoiced_at as date) as sold_on,
    coalesce(l.country, 'Unspecified') as country,
    count(distinct case when l.line_type = 'sale' then l.invoice_no end) as orders,
    count(distinct case when l.line_type = 'sale' then l.customer_no end) as customers,
    cast(sum(case when l.line_type = 'sale' then 1 else 0 end) as bigint) as sale_lines,
    cast(sum(case when l.line_type = 'sale' then l.quantity else 0 end) as bigint) as units_sold,
    cast(sum(case when l.line_type = 'sale' then l.line_value else 0 end) as decimal(24, 4)) as sales_value,
    cast(sum(case when l.line_type = 'cancellation' then l.line_value else 0 end) as decimal(24, 4)) as cancelled_value,
    cast(sum(case when l.line_type = 'non_product' then l.line_value else 0 end) as decimal(24, 4)) as service_value,
    cast(sum(case when l.line_type = 'bad_debt' then l.line_value else 0 end) as decimal(24, 4)) as bad_debt_value,
    cast(sum(
        case when l.line_type in ('adjustment', 'write_off', 'free_of_charge') then l.line_value else 0 end
    ) as decimal(24, 4)) as adjustment_value,
    cast(sum(case when l.line_type = 'write_off' then -l.quantity else 0 end) as bigint) as units_written_off,
    cast(sum(l.line_value) as decimal(24, 4)) as net_value
from {{ scoped(ref('invoice_lines'), sold_on='cast(invoiced_at as date)') }} as l
group by cast(l.invoiced_at as date), coalesce(l.country, 'Unspecified')
