-- Target database. A stratum is a conjunction of constraints that a person meets; its place is one to two of them.
create table sources (
    source_id integer primary key,
    source varchar not null,
    "table" varchar not null,
    url varchar not null,
    vintage varchar not null,
    year integer not null,
    unique (source, "table", vintage, year, url)
);
create table strata (
    stratum_id integer primary key,
    parent_stratum_id integer,
    definition_hash varchar not null unique,
    geo_level varchar not null check (geo_level in ('national', 'state', 'district', 'city')),
    geo_id varchar not null,
    constraints varchar not null,
    -- The variables of the constraints without geography, in alphabetical order; '' for everybody.
    domain varchar not null
);
create table stratum_constraints (
    stratum_id integer not null references strata (stratum_id),
    constraint_variable varchar not null,
    operation varchar not null check (operation in ('==', '!=', '>', '>=', '<', '<=')),
    value double not null,
    primary key (stratum_id, constraint_variable, operation)
);
-- value = raw_value * uprating * reconciliation; raw_value is the figure as published, in dollars or units.
create table targets (
    target_id integer primary key,
    name varchar not null unique,
    stratum_id integer not null references strata (stratum_id),
    source_id integer not null references sources (source_id),
    variable varchar not null,
    reform varchar not null,
    period integer not null,
    unit varchar not null,
    value double not null,
    raw_value double not null,
    uprating double not null,
    reconciliation double not null
);
-- What brought the figures of another year to the model year, and which rule says so.
create table uprating_factors (
    source varchar not null,
    variable varchar not null,
    constraints varchar not null,
    year integer not null,
    follows varchar not null,
    factor double not null,
    primary key (source, variable, constraints, year)
);
-- One row a comparison of figures that should agree; gap = other / value - 1 where it is widest (place geo_id).
create table consistency (
    kind varchar not null check (kind in ('states to nation', 'districts to nation', 'districts to state',
                                          'classes to total', 'sources')),
    variable varchar not null,
    constraints varchar not null,
    reform varchar not null,
    geo_level varchar not null,
    source varchar not null,
    other_source varchar not null,
    places integer not null,
    critical_places integer not null,
    geo_id varchar not null,
    value double not null,
    other double not null,
    gap double not null,
    severity varchar not null check (severity in ('ok', 'flag', 'significant', 'critical')),
    primary key (kind, variable, constraints, reform, geo_level, source, other_source)
);
-- Targets that contradict better ones critically: reported, and left out of a fit.
create table excluded (
    target_id integer primary key references targets (target_id),
    reason varchar not null
);
create view stratum_domain as select stratum_id, domain from strata;
create view target_overview as
select
    targets.target_id, targets.name, targets.variable, strata.geo_level, strata.geo_id, strata.domain,
    strata.constraints, targets.value, targets.period, sources.source, targets.unit, targets.stratum_id, targets.reform,
    targets.raw_value, targets.uprating, targets.reconciliation, sources."table", sources.vintage, sources.url
from targets
join strata using (stratum_id)
join sources using (source_id);
-- Factors that made levels agree: one row a source, concept and state (or the nation), with the figures they were put
-- on. The lowest and the highest differ where figures are sums of others, which had different factors.
create view reconciliation_factors as
select
    sources.source, strata.geo_level, targets.variable, strata.constraints, targets.reform,
    case strata.geo_level when 'state' then 'US' else left(strata.geo_id, 2) end as within,
    min(targets.reconciliation) as lowest, max(targets.reconciliation) as highest, count(*) as figures
from targets
join strata using (stratum_id)
join sources using (source_id)
where targets.reconciliation <> 1
group by all
order by all;
