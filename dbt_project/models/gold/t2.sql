select cast(invoiced_at as date) as sold_on, count(*) as lines, sum(value) as value from {{ ref('t1') }} group by 1
