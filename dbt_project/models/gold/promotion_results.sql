{{ config(strategy='full', key=['promotion_id']) }}
{#- A randomised trial for each promotion: who was contacted against who was held out, by what they bought in its days.
    Intervals are normal approximations at 95 % of the difference of two shares, and of two means with unequal variances
    (Welch). -#}

with bought as (
    select
        k.promotion_id,
        k.customer_no,
        k.trial_group,
        max(case when k.is_redeemed then 1 else 0 end) as redeemed,
        max(case when o.order_no is not null then 1 else 0 end) as is_buyer,
        cast(sum(coalesce(o.net_value, 0)) as decimal(18, 4)) as value
    from {{ ref('campaign_contacts') }} as k
    inner join {{ ref('promotions') }} as p on k.promotion_id = p.promotion_id
    left join {{ ref('customer_orders') }} as o
        on
            k.customer_no = o.customer_no
            and cast(o.ordered_at as date) between p.starts_on and p.ends_on
    group by k.promotion_id, k.customer_no, k.trial_group
),

arms as (
    select
        promotion_id,
        sum(case when trial_group = 'treatment' then 1 else 0 end) as treated,
        sum(case when trial_group = 'control' then 1 else 0 end) as held_out,
        sum(case when trial_group = 'treatment' then redeemed else 0 end) as redemptions,
        sum(case when trial_group = 'treatment' then is_buyer else 0 end) as treated_buyers,
        sum(case when trial_group = 'control' then is_buyer else 0 end) as held_out_buyers,
        sum(case when trial_group = 'treatment' then value else 0 end) as treated_value,
        sum(case when trial_group = 'control' then value else 0 end) as held_out_value,
        sum(
            case when trial_group = 'treatment' then cast(value as decimal(38, 4)) * value else 0 end
        ) as treated_squares,
        sum(
            case when trial_group = 'control' then cast(value as decimal(38, 4)) * value else 0 end
        ) as held_out_squares
    from bought
    group by promotion_id
),

shares as (
    select
        arms.*,
        cast(treated_buyers as double) / nullif(treated, 0) as treated_share,
        cast(held_out_buyers as double) / nullif(held_out, 0) as held_out_share,
        cast(treated_value as double) / nullif(treated, 0) as treated_mean,
        cast(held_out_value as double) / nullif(held_out, 0) as held_out_mean
    from arms
),

errors as (
    select
        shares.*,
        sqrt(
            treated_share * (1 - treated_share) / nullif(treated, 0)
            + held_out_share * (1 - held_out_share) / nullif(held_out, 0)
        ) as share_error,
        sqrt(
            greatest(cast(treated_squares as double) - treated * treated_mean * treated_mean, 0)
            / nullif(treated - 1, 0) / nullif(treated, 0)
            + greatest(cast(held_out_squares as double) - held_out * held_out_mean * held_out_mean, 0)
            / nullif(held_out - 1, 0) / nullif(held_out, 0)
        ) as mean_error
    from shares
)

select
    p.promotion_id,
    p.promotion_name,
    p.promotion_type,
    p.starts_on,
    p.ends_on,
    p.budget,
    cast(coalesce(e.treated, 0) as bigint) as treated,
    cast(coalesce(e.held_out, 0) as bigint) as held_out,
    cast(coalesce(e.redemptions, 0) as bigint) as redemptions,
    cast(coalesce(e.treated_buyers, 0) as bigint) as treated_buyers,
    cast(coalesce(e.held_out_buyers, 0) as bigint) as held_out_buyers,
    e.treated_share,
    e.held_out_share,
    e.treated_share - e.held_out_share as uplift,
    e.treated_share - e.held_out_share - 1.96 * e.share_error as uplift_low,
    e.treated_share - e.held_out_share + 1.96 * e.share_error as uplift_high,
    e.treated_mean - e.held_out_mean as value_uplift,
    e.treated_mean - e.held_out_mean - 1.96 * e.mean_error as value_uplift_low,
    e.treated_mean - e.held_out_mean + 1.96 * e.mean_error as value_uplift_high,
    cast({{ rounded('(e.treated_share - e.held_out_share) * e.treated', 2) }} as decimal(18, 2)) as extra_buyers,
    cast({{ rounded('(e.treated_mean - e.held_out_mean) * e.treated', 2) }} as decimal(18, 2)) as extra_value
from {{ ref('promotions') }} as p
left join errors as e on p.promotion_id = e.promotion_id
