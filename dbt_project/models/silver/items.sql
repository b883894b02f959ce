{{ config(strategy='scope', scope=['item_code'], key=['item_code']) }}
{% call touched() %}
    select {{ item_code('item_no') }} as item_code from {{ changed(source('bronze', 'item')) }}
    union all
    select {{ item_code('item_no') }} as item_code from {{ changed(source('bronze', 'invoice_line')) }}
{% endcall %}

with master as (
    select
        {{ item_code('i.item_no') }} as item_code,
        i.item_no,
        {{ cleaned_text('i.description') }} as description,
        {{ cleaned_text('i.category_code') }} as category_code,
        i.list_price,
        i.cost_price,
        i.supplier_no,
        case upper(i.status_code) when 'A' then 'active' when 'D' then 'discontinued' end as status,
        i.introduced_on,
        {{ known_date('i.discontinued_on', '9999-12-31') }} as discontinued_on,
        row_number() over (
            partition by {{ item_code('i.item_no') }} order by i.updated_at desc, i.item_no asc
        ) as preference
    from {{ scoped(source('bronze', 'item'), item_code=item_code('item_no')) }} as i
    where {{ cleaned_text('i.item_no') }} is not null
),

booked as (
    select
        {{ item_code('l.item_no') }} as item_code,
        l.item_no,
        {{ cleaned_text('l.description') }} as description,
        count(*) as lines
    from {{ scoped(source('bronze', 'invoice_line'), item_code=item_code('item_no')) }} as l
    where {{ cleaned_text('l.item_no') }} is not null
    group by {{ item_code('l.item_no') }}, l.item_no, {{ cleaned_text('l.description') }}
),

all_spellings as (
    select
        item_code,
        item_no,
        lines
    from booked
    union all
    select
        item_code,
        item_no,
        0 as lines
    from master
),

spellings as (
    select
        item_code,
        item_no,
        cast(sum(lines) as bigint) as lines
    from all_spellings
    group by item_code, item_no
),

texts as (
    {#- Texts without a capital letter are staff notes such as 'damaged'; no label says so. -#}
    select
        item_code,
        description,
        row_number() over (partition by item_code order by sum(lines) desc, description asc) as preference
    from booked
    where {{ matches('description', '[A-Z]') }}
    group by item_code, description
),

codes as (
    select
        item_code,
        cast(count(*) as integer) as spelling_count,
        cast(count(distinct case when lines > 0 then trim(item_no) end) as integer) as case_variant_count,
        cast(count(case when lines > 0 then 1 end) as integer) as booked_spelling_count,
        cast(count(
            case when lines > 0 and not {{ matches('item_no', '^[0-9]{5}[A-Za-z]*$') }} then 1 end
        ) as integer) as irregular_spelling_count
    from spellings
    group by item_code
),

description_counts as (
    select
        item_code,
        cast(count(distinct description) as integer) as description_count
    from booked
    group by item_code
)

select
    c.item_code,
    {{ item_kind('c.item_code') }} as item_kind,
    case when {{ matches('m.description', '[A-Z]') }} then m.description else t.description end as description,
    coalesce(d.description_count, 0) as description_count,
    c.spelling_count,
    c.booked_spelling_count,
    c.case_variant_count,
    c.irregular_spelling_count,
    m.item_code is not null as in_item_master,
    m.category_code,
    m.list_price,
    m.cost_price,
    m.supplier_no,
    m.status,
    m.introduced_on,
    m.discontinued_on
from codes as c
left join master as m on c.item_code = m.item_code and m.preference = 1
left join texts as t on c.item_code = t.item_code and t.preference = 1
left join description_counts as d on c.item_code = d.item_code
