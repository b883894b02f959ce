{{ config(
    strategy='scope', scope=['snapshot_on'], key=['snapshot_on', 'item_code', 'warehouse_code']
) }}
{#- The dump has no key and repeats lines. Where repeated lines differ, the higher count stands and the row says so. -#}
{% call touched() %}
    select snapshot_on from {{ changed(source('bronze', 'stock_level')) }}
{% endcall %}

select
    s.snapshot_on,
    {{ item_code('s.item_no') }} as item_code,
    upper(trim(s.warehouse_code)) as warehouse_code,
    max(s.quantity_on_hand) as quantity_on_hand,
    cast(count(*) as integer) as copies,
    count(distinct s.quantity_on_hand) > 1 as is_ambiguous
from {{ scoped(source('bronze', 'stock_level')) }} as s
group by s.snapshot_on, {{ item_code('s.item_no') }}, upper(trim(s.warehouse_code))
