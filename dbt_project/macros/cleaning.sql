{#- How a booked value is cleaned. One macro a meaning, so that models and the rules of rejection agree. -#}

{% macro item_code(column) -%}
    upper(trim({{ column }}))
{%- endmacro %}

{% macro cleaned_text(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}

{% macro known_date(column, sentinel) -%}
    nullif({{ column }}, cast('{{ sentinel }}' as date))
{%- endmacro %}

{% macro matches(column, pattern) -%}
    {{ return(adapter.dispatch('matches')(column, pattern)) }}
{%- endmacro %}

{% macro default__matches(column, pattern) -%}
    regexp_like({{ column }}, '{{ pattern }}')
{%- endmacro %}

{% macro duckdb__matches(column, pattern) -%}
    regexp_matches({{ column }}, '{{ pattern }}')
{%- endmacro %}

{% macro item_kind(code) -%}
    {#- Five digits and perhaps letters are goods; so are DCGS codes and two odd ones that the shop sells (a chalkboard, cushion pads). -#}
    case
        when {{ matches(code, '^[0-9]{5}[A-Z]*$') }} then 'goods'
        when {{ code }} like 'DCGS%' or {{ code }} in ('SP1002', 'PADS') then 'goods'
        when {{ code }} in ('POST', 'DOT', 'C2', 'C3') then 'postage'
        when {{ code }} = 'M' then 'manual'
        when {{ code }} = 'D' then 'discount'
        when {{ code }} = 'S' then 'sample'
        when {{ code }} = 'B' then 'bad_debt'
        when {{ code }} like 'GIFT%' then 'voucher'
        when {{ code }} like 'ADJUST%' then 'adjustment'
        when {{ code }} in ('BANK CHARGES', 'AMAZONFEE') then 'fee'
        when {{ code }} = 'CRUK' then 'charity'
        when {{ code }} like 'TEST%' then 'test'
        else 'unknown'
    end
{%- endmacro %}

{% macro is_cancellation(line) -%}
    upper(trim({{ line }}.invoice_no)) like 'C%'
{%- endmacro %}

{% macro is_bad_debt(line) -%}
    upper(trim({{ line }}.invoice_no)) like 'A%'
{%- endmacro %}

{% macro reject_reason(line) -%}
    {#- Why a booked line says nothing about the trade; null where it is taken over into silver. -#}
    case
        when {{ cleaned_text(line ~ '.invoice_no') }} is null then 'no_invoice_number'
        when {{ cleaned_text(line ~ '.item_no') }} is null then 'no_item_code'
        when {{ line }}.invoiced_at is null then 'no_time'
        when {{ line }}.unit_price is null then 'no_price'
        when {{ line }}.quantity is null or {{ line }}.quantity = 0 then 'no_quantity'
        when {{ is_cancellation(line) }} and {{ line }}.quantity > 0 then 'cancellation_that_adds'
        when {{ item_code(line ~ '.item_no') }} like 'TEST%' then 'test_booking'
    end
{%- endmacro %}
