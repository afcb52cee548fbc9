-- Target database. A stratum is a conjunction of constraints that a person meets; geography is two of the constraints.
create table sources (
    source_id integer primary key,
    source varchar not null,
    "table" varchar not null,
    url varchar not null,
    vintage varchar not null,
    year integer not null,
    unique (source, "table", vintage)
);
create table strata (
    stratum_id integer primary key,
    parent_stratum_id integer,
    definition_hash varchar not null unique,
    geo_level varchar not null check (geo_level in ('national', 'state', 'district')),
    geo_id varchar not null,
    constraints varchar not null
);
create table stratum_constraints (
    stratum_id integer not null references strata (stratum_id),
    constraint_variable varchar not null,
    operation varchar not null check (operation in ('==', '!=', '>', '>=', '<', '<=')),
    value double not null,
    primary key (stratum_id, constraint_variable, operation)
);
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
-- The variables that a stratum's domain is made of, without geography, in alphabetical order; "" for everybody.
create view stratum_domain as
select
    strata.stratum_id,
    coalesce(string_agg(distinct constraint_variable, ',' order by constraint_variable), '') as domain
from strata
left join stratum_constraints
    on strata.stratum_id = stratum_constraints.stratum_id
    and constraint_variable not in ('state_fips', 'congressional_district_geoid')
group by strata.stratum_id;
create view target_overview as
select
    targets.target_id, targets.name, targets.variable, strata.geo_level, strata.geo_id, stratum_domain.domain,
    strata.constraints, targets.value, targets.period, sources.source, targets.unit, targets.stratum_id, targets.reform,
    targets.raw_value, targets.uprating, targets.reconciliation, sources."table", sources.vintage, sources.url
from targets
join strata using (stratum_id)
join stratum_domain using (stratum_id)
join sources using (source_id);
