{#- Tests of a table against another. -#}

{% test same_sum(model, column, to, to_column) %}
    select here.total as total, there.total as expected
    from (select coalesce(sum({{ column }}), 0) as total from {{ model }}) as here
    cross join (select coalesce(sum({{ to_column }}), 0) as total from {{ to }}) as there
    where here.total <> there.total
{% endtest %}

{% test every_row_once(model, total, source) %}
    select here.total as total, there.total as expected
    from (select coalesce(sum({{ total }}), 0) as total from {{ model }}) as here
    cross join (select count(*) as total from {{ source }}) as there
    where here.total <> there.total
{% endtest %}
