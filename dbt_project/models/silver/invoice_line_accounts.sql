{{ config(strategy='scope', scope=['booked_month'], key=['booked_month']) }}
{#- Every booked row is kept, merged into a kept one, or rejected: per month, in rows, pieces and money. -#}
{% call touched() %}
    select {{ month_of('invoiced_at') }} as booked_month from {{ changed(source('bronze', 'invoice_line')) }}
    union all
    select {{ month_of('invoiced_at') }} as booked_month from {{ changed(ref('invoice_lines')) }}
    union all
    select {{ month_of('invoiced_at') }} as booked_month from {{ changed(ref('invoice_line_rejects')) }}
{% endcall %}

with entries as (
    select
        {{ month_of('l.invoiced_at') }} as booked_month,
        1 as booked_rows,
        0 as kept_rows,
        0 as merged_rows,
        0 as rejected_rows,
        cast(l.quantity as bigint) as booked_quantity,
        0 as accounted_quantity,
        cast(l.quantity * l.unit_price as decimal(18, 4)) as booked_value,
        cast(0 as decimal(18, 4)) as accounted_value
    from {{ source('bronze', 'invoice_line') }} as l
    where {{ in_scope('l', booked_month=month_of('l.invoiced_at')) }}
    union all
    select
        k.invoiced_month as booked_month,
        0 as booked_rows,
        1 as kept_rows,
        k.copies - 1 as merged_rows,
        0 as rejected_rows,
        0 as booked_quantity,
        cast(k.quantity as bigint) * k.copies as accounted_quantity,
        cast(0 as decimal(18, 4)) as booked_value,
        cast(k.line_value * k.copies as decimal(18, 4)) as accounted_value
    from {{ ref('invoice_lines') }} as k
    where {{ in_scope('k', booked_month='k.invoiced_month') }}
    union all
    select
        {{ month_of('r.invoiced_at') }} as booked_month,
        0 as booked_rows,
        0 as kept_rows,
        0 as merged_rows,
        1 as rejected_rows,
        0 as booked_quantity,
        cast(r.quantity as bigint) as accounted_quantity,
        cast(0 as decimal(18, 4)) as booked_value,
        cast(r.quantity * r.unit_price as decimal(18, 4)) as accounted_value
    from {{ ref('invoice_line_rejects') }} as r
    where {{ in_scope('r', booked_month=month_of('r.invoiced_at')) }}
)

select
    booked_month,
    cast(sum(booked_rows) as bigint) as booked_rows,
    cast(sum(kept_rows) as bigint) as kept_rows,
    cast(sum(merged_rows) as bigint) as merged_rows,
    cast(sum(rejected_rows) as bigint) as rejected_rows,
    cast(sum(booked_quantity) as bigint) as booked_quantity,
    cast(sum(accounted_quantity) as bigint) as accounted_quantity,
    cast(sum(booked_value) as decimal(24, 4)) as booked_value,
    cast(sum(accounted_value) as decimal(24, 4)) as accounted_value
from entries
group by booked_month
