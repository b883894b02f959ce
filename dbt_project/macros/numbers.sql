{#- Arithmetic that comes out alike in every engine, to the last digit. DuckDB divides decimals as doubles and rounds the double, Spark
    divides them as decimals, and the two differ where the exact quotient lies half-way between two values (4 of 300 average prices). -#}

{% macro quotient(total, count, places) -%}
    {#- total / count, rounded half away from zero; null where the count is 0. The total has at most that many decimal places. -#}
    case when {{ total }} < 0 then -1 else 1 end
    * (
        (2 * abs(cast({{ total }} * {{ 10 ** places }} as bigint)) + cast({{ count }} as bigint))
        // nullif(2 * cast({{ count }} as bigint), 0)
    )
    * {{ '0.' ~ '0' * (places - 1) ~ '1' }}
{%- endmacro %}

{% macro rounded(number, places) -%}
    {#- A double, rounded half away from zero as it stands, and not as its shortest decimal form would be. -#}
    cast(round({{ number }} * {{ 10 ** places }}) as bigint) * {{ '0.' ~ '0' * (places - 1) ~ '1' }}
{%- endmacro %}
