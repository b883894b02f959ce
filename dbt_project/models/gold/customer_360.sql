{{ config(strategy='scope', scope=['customer_no'], key=['customer_no']) }}
{#- Facts with dates, no ages: 'days since' would change every row every day, and readers know their own today. -#}
{% call touched() %}
    select customer_no from {{ changed(ref('customers')) }}
    union all
    select customer_no from {{ changed(ref('customer_orders')) }}
    union all
    select customer_no from {{ changed(ref('interactions')) }}
    union all
    select customer_no from {{ changed(ref('campaign_contacts')) }}
{% endcall %}

with orders as (
    select
        o.customer_no,
        min(o.ordered_at) as first_order_at,
        max(o.ordered_at) as last_order_at,
        cast(count(*) as integer) as orders,
        cast(sum(o.units) as bigint) as units,
        cast(sum(o.cancelled_units) as bigint) as cancelled_units,
        cast(sum(o.net_value) as decimal(18, 4)) as net_value,
        cast(sum(o.cancelled_value) as decimal(18, 4)) as cancelled_value,
        sum(o.days_since_previous) as days_between,
        count(o.days_since_previous) as intervals
    from {{ scoped(ref('customer_orders')) }} as o
    group by o.customer_no
),

item_values as (
    select
        n.customer_no,
        n.item_code,
        row_number() over (
            partition by n.customer_no order by sum(n.value) desc, count(*) desc, n.item_code asc
        ) as preference,
        count(*) over (partition by n.customer_no) as items
    from {{ scoped(ref('interactions')) }} as n
    group by n.customer_no, n.item_code
),

contacts as (
    select
        k.customer_no,
        cast(sum(case when k.trial_group = 'treatment' then 1 else 0 end) as integer) as contacts,
        cast(sum(case when k.is_redeemed then 1 else 0 end) as integer) as redemptions,
        max(case when k.trial_group = 'treatment' then k.contacted_on end) as last_contacted_on
    from {{ scoped(ref('campaign_contacts')) }} as k
    group by k.customer_no
)

select
    c.customer_no,
    c.country,
    c.postcode_area,
    c.birth_year,
    c.has_marketing_consent,
    c.is_active,
    c.opened_on,
    o.first_order_at,
    o.last_order_at,
    coalesce(o.orders, 0) as orders,
    cast(coalesce(v.items, 0) as integer) as items,
    coalesce(o.units, 0) as units,
    coalesce(o.cancelled_units, 0) as cancelled_units,
    coalesce(o.net_value, 0) as net_value,
    coalesce(o.cancelled_value, 0) as cancelled_value,
    cast({{ quotient('o.net_value', 'o.orders', 4) }} as decimal(18, 4)) as average_order_value,
    cast({{ quotient('o.days_between', 'o.intervals', 2) }} as decimal(10, 2)) as average_days_between_orders,
    v.item_code as favourite_item_code,
    coalesce(k.contacts, 0) as contacts,
    coalesce(k.redemptions, 0) as redemptions,
    k.last_contacted_on
from {{ scoped(ref('customers')) }} as c
left join orders as o on c.customer_no = o.customer_no
left join item_values as v on c.customer_no = v.customer_no and v.preference = 1
left join contacts as k on c.customer_no = k.customer_no
