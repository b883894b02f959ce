{{ config(strategy='scope', scope=['booked_on'], key=['booked_on']) }}
{#- Every booked row is kept, merged into a kept one, or rejected: per day, in rows, pieces and money. -#}
{% call touched() %}
    select cast(invoiced_at as date) as booked_on from {{ changed(source('bronze', 'invoice_line')) }}
    union all
    select cast(invoiced_at as date) as booked_on from {{ changed(ref('invoice_lines')) }}
    union all
    select cast(invoiced_at as date) as booked_on from {{ changed(ref('invoice_line_rejects')) }}
{% endcall %}

with entries as (
    select
        cast(l.invoiced_at as date) as booked_on,
        1 as booked_rows,
        0 as kept_rows,
        0 as merged_rows,
        0 as rejected_rows,
        cast(l.quantity as bigint) as booked_quantity,
        0 as accounted_quantity,
        cast(l.quantity * l.unit_price as decimal(18, 4)) as booked_value,
        cast(0 as decimal(18, 4)) as accounted_value
    from {{ scoped(source('bronze', 'invoice_line'), booked_on='cast(invoiced_at as date)') }} as l
    union all
    select
        cast(k.invoiced_at as date) as booked_on,
        0 as booked_rows,
        1 as kept_rows,
        k.copies - 1 as merged_rows,
        0 as rejected_rows,
        0 as booked_quantity,
        cast(k.quantity as bigint) * k.copies as accounted_quantity,
        cast(0 as decimal(18, 4)) as booked_value,
        cast(k.line_value * k.copies as decimal(18, 4)) as accounted_value
    from {{ scoped(ref('invoice_lines'), booked_on='cast(invoiced_at as date)') }} as k
    union all
    select
        cast(r.invoiced_at as date) as booked_on,
        0 as booked_rows,
        0 as kept_rows,
        0 as merged_rows,
        1 as rejected_rows,
        0 as booked_quantity,
        cast(r.quantity as bigint) as accounted_quantity,
        cast(0 as decimal(18, 4)) as booked_value,
        cast(r.quantity * r.unit_price as decimal(18, 4)) as accounted_value
    from {{ scoped(ref('invoice_line_rejects'), booked_on='cast(invoiced_at as date)') }} as r
)

select
    booked_on,
    cast(sum(booked_rows) as bigint) as booked_rows,
    cast(sum(kept_rows) as bigint) as kept_rows,
    cast(sum(merged_rows) as bigint) as merged_rows,
    cast(sum(rejected_rows) as bigint) as rejected_rows,
    cast(sum(booked_quantity) as bigint) as booked_quantity,
    cast(sum(accounted_quantity) as bigint) as accounted_quantity,
    cast(sum(booked_value) as decimal(24, 4)) as booked_value,
    cast(sum(accounted_value) as decimal(24, 4)) as accounted_value
from entries
group by booked_on
