// Written by scripts/generate.mjs from the server's /openapi.json. Not edited by hand.

import type { CustomerReference, FeatureReference } from "../references.js";

/** The answer to `Prefer: respond-async`. */
export interface AcceptedView {
  id: string;
  status: string;
  customer_id: string;
  external_customer_id: string | null;
  version: number;
}

/** Which account. */
export interface AccountStatus {
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** The sums of one unit, in millicredits; `blocks` (live, in burn order) only where asked for. `status` is left out of an account as it was in the past: the ledger does not tell it. */
export interface AccountView {
  customer_id: string;
  external_customer_id: string | null;
  unit: string;
  balance: number;
  reserved_balance: number;
  effective_balance: number;
  overdraft: number;
  lifetime_earned: number;
  lifetime_spent: number;
  lifetime_expired: number;
  status?: string;
  blocks?: Array<BlockView>;
  at?: string;
  version: number;
}

/** A correction: above 0 it adds a block, below 0 it takes credits in burn order. */
export interface Adjustment {
  /** Millicredits (1 credit = 1,000). */
  delta: number;
  reason: string;
  allow_negative?: boolean;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** How far: `seconds` or `to`. `sweep` false only moves the clock. */
export interface AdvanceBody {
  /** How far, in seconds. */
  seconds?: number;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string;
  sweep?: boolean;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** The process answers. */
export interface Alive {
  status?: string;
}

/** A key as the API shows it. `key_id` is the part of its text by which it can be recognised. */
export interface ApiKey {
  id: string;
  name: string;
  key_prefix: string;
  scopes: Array<string>;
  created_at: string;
  last_used_at?: string | null;
  revoked_at?: string | null;
}

/** What one past period counted, and what its usage cost. */
export interface AssetPeriod {
  billable_metric_key: string;
  period_start: string;
  period_end: string;
  value: number | string;
  max?: number | string;
  overage_units: number | string;
  cost: number;
}

/** A block to grant to the account that the metric draws from. */
export interface AssetTopup {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits: number;
  source?: "adjustment" | "exchange" | "plan_grant" | "promotional" | "refund" | "rollover" | "topup" | "trial";
  reason?: string;
  /** Lower burns first. */
  priority?: number;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  effective_at?: string;
  expires_at?: string | null;
  /** A length of time in seconds, at least 1. */
  expires_after_seconds?: number;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** One monitored asset. Without a quota: no level, policy and tiers; `max` is a Gauge's. `level` and `policy` are those that the value has reached, units held by reservations counted. */
export interface AssetView {
  customer_id: string;
  external_customer_id: string | null;
  billable_metric_key: string;
  aggregation: string;
  value: number | string;
  max?: number | string;
  reserved_units: number | string;
  overage_units: number | string;
  level?: string;
  policy?: string;
  period_start: string;
  period_end: string;
  resets_at: string;
  tiers?: Array<Record<string, unknown>>;
  suspended: boolean;
  unit: string;
  balance: number;
}

/** Credits to take out of the account that the metric draws from. */
export interface AssetWithdrawal {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits: number;
  reason?: string;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** One attempt: `status` of the answer, or `error` where there was none; the answer's first 2 KiB. */
export interface Attempt {
  attempted_at: string;
  status?: number;
  error?: string;
  duration_ms?: number;
  answer?: string;
}

/** One change, as the contract shows it. `before` and `after` are JSON as stored. */
export interface AuditEntry {
  id: string;
  created_at: string;
  actor: string;
  key_id: string | null;
  action: string;
  object_type: string;
  object_id: string;
  before: unknown;
  after: unknown;
  request_id: string;
}

/** When to ask for a topup: at or below `threshold`. Exactly one of `package_id` and `credits`. */
export interface AutoTopupTerms {
  /** Millicredits (1 credit = 1,000), 0 or more. */
  threshold: number;
  package_id?: string;
  /** Millicredits (1 credit = 1,000), above 0. */
  credits?: number;
  max_per_period?: number | null;
  period?: "day" | "month" | "week" | "year";
  cooldown_seconds?: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** When the app is asked for a topup, and how often it was in the running period. */
export interface AutoTopupView {
  customer_id: string;
  external_customer_id: string | null;
  unit: string;
  threshold: number;
  package_id?: string;
  credits?: number;
  max_per_period: number | null;
  period: "day" | "month" | "week" | "year" | (string & {});
  cooldown_seconds: number;
  requested_in_period: number;
  last_requested_at?: string;
  created_at: string;
  updated_at: string;
  version: number;
}

/** Events as `POST /v1/usage` takes them, each with its own `idempotency_key`. */
export interface BatchBody {
  /** Bodies of `POST /v1/usage`, each with an `idempotency_key` of its own. */
  events: Array<UsageBody & { idempotency_key: string }>;
}

/** What became of one event: its usage, or the problem that `POST /v1/usage` would have answered. */
export interface BatchResult {
  status: "created" | "failed" | "replayed" | (string & {});
  usage?: UsageView;
  problem?: Problem;
}

/** One result for each event, in their order. */
export interface BatchView {
  results: Array<BatchResult>;
}

/** What an entry changed in one block. */
export interface BlockDelta {
  block_id: string;
  delta: number;
}

/** One credit block. `expires_at` null: never. */
export interface BlockView {
  id: string;
  unit: string;
  original_amount: number;
  remaining_amount: number;
  priority: number;
  effective_at: string;
  expires_at: string | null;
  source: string;
  price_paid?: number;
  currency?: string;
  package_id?: string;
  external_payment_id?: string;
  subscription_id?: string;
  grant_template_id?: string;
  rolled_from_block_id?: string;
  reason?: string;
  metadata?: Record<string, unknown>;
  status: string;
  created_at: string;
}

/** Why a block is taken back. */
export interface BlockVoid {
  reason?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** Where the books of an account first do not fit. Without `sequence` it is not one entry's fault. */
export interface Broken {
  environment_id: string;
  customer_id: string;
  unit: string;
  check: string;
  detail: string;
  sequence?: number;
  entry_id?: string;
}

/** When the subscription ends, and what becomes of its blocks. */
export interface CancelBody {
  /** Show the effects and change nothing; needs no idempotency key. */
  dry_run?: boolean;
  when?: "now" | "period_end";
  credits?: "expire" | "keep";
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** The variant to change to. Upgrades are made now and prorated, downgrades at the period's end. */
export interface ChangePlanBody {
  /** Show the effects and change nothing; needs no idempotency key. */
  dry_run?: boolean;
  plan_variant_id: string;
  when?: "now" | "period_end";
  credits?: "keep" | "prorate" | "reset";
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** One check of a batch. It names exactly one customer. */
export interface CheckFields {
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. */
  external_customer_id?: string;
  units?: number | string;
  current?: number | string;
  /** Names and values, both strings. */
  dimensions?: Record<string, string>;
  explain?: boolean;
  /** Another name of `external_customer_id`. */
  end_user_id?: string;
}

/** One check of a batch. It names exactly one customer. */
export type Check = FeatureReference & CheckFields;

/** Up to 100 checks, answered in order. */
export interface CheckBatch {
  checks: Array<Check>;
}

/** One answer for each check, in order; a check that could not be made has a `problem` instead. */
export interface CheckResults {
  results: Array<Record<string, unknown>>;
}

/** The environment's time, and what ran because it moved, by time and customer. */
export interface ClockView {
  now: string;
  frozen: boolean;
  ran?: Array<RanView>;
}

/** What was used; nothing means the estimate, 0 is allowed. */
export interface CommitBody {
  actual_units?: number | string;
  /** Millicredits (1 credit = 1,000), 0 or more. */
  actual_credits?: number;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** How long a subscriber is bound, and whether the contract renews itself. */
export interface ContractBody {
  term_interval: "day" | "month" | "week" | "year";
  /** Intervals in one period. */
  term_count?: number;
  auto_renew?: boolean;
  /** Days of 24 hours. */
  ending_soon_days?: number;
}

/** How long a subscriber is bound. */
export interface ContractTerms {
  term_interval: string;
  term_count: number;
  auto_renew: boolean;
  ending_soon_days: number;
}

/** The running term of a contract. */
export interface ContractView {
  starts_at: string;
  ends_at: string;
  auto_renew: boolean;
}

/** A key of the environment of the key that asks. */
export interface CreateApiKey {
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  /** Any of customers:read, customers:write, catalog:read, catalog:write, credits:read, credits:write, usage:read, usage:write, entitlements:read, reservations:write, subscriptions:read, subscriptions:write, webhooks:read, webhooks:write, audit:read, admin; none: full access. */
  scopes?: Array<string>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** Without a secret one is made, and shown in the answer only. */
export interface CreateEndpoint {
  /** http or https, without user and fragment. */
  url: string;
  /** Base64 of 16 to 64 bytes, with or without `whsec_`. */
  secret?: string;
  /** Exact types (`credit.granted`), prefixes (`credit.*`) or `*`. `credit.consumed` and `reservation.created` come only to who names them exactly. */
  events?: Array<string>;
  /** Only events of this `severity`. */
  severity?: string;
  /** Only events about this metric. */
  billable_metric_key?: string;
  description?: string;
  format?: "cloudevents" | "standard";
  status?: "active" | "disabled";
  /** Another name of `billable_metric_key`. */
  feature_key?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What to listen for; everything by default. */
export interface CreateListener {
  /** Exact types (`credit.granted`), prefixes (`credit.*`) or `*`. `credit.consumed` and `reservation.created` come only to who names them exactly. */
  events?: Array<string>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What to change; what is left out stays, null puts a field back to nothing. Metadata is merged key by key. */
export interface CustomerPatch {
  display_name?: string | null;
  email?: string | null;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  low_balance_threshold?: number | null;
  overage_policy?: "allow" | "block" | "notify" | null;
  overage_limit?: number | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A customer. `low_balance_threshold` and `overage_policy` null: the environment's apply. */
export interface CustomerView {
  customer_id: string;
  external_customer_id: string;
  display_name?: string;
  email?: string;
  metadata: Record<string, unknown>;
  low_balance_threshold: number | null;
  overage_policy: "allow" | "block" | "notify" | (string & {}) | null;
  overage_limit?: number;
  created_at: string;
  updated_at: string;
  version: number;
}

/** What takes credits out answers. */
export interface DebitAnswer {
  customer_id: string;
  external_customer_id: string | null;
  debit: DebitView;
  account: AccountView;
  version: number;
}

/** What a debit took, from which blocks; `overage` is the part that became overdraft. */
export interface DebitView {
  amount: number;
  blocks: Array<DrawView>;
  overage?: number;
}

/** What is left of a deleted customer: the id under which the ledger stays. */
export interface DeletedCustomerView {
  customer_id: string;
  deleted_at: string;
  canceled_subscription_ids: Array<string>;
  released_reservation_ids: Array<string>;
  voided_block_ids: Array<string>;
  version: number;
}

/** One event on its way to one endpoint, with every attempt. `origin` tells what made it. */
export interface Delivery {
  id: string;
  endpoint_id: string;
  event_id: string;
  event_type: string;
  customer_id?: string;
  sequence: number;
  previous_sequence?: number;
  origin: "event" | "redelivery" | "replay" | "test" | (string & {});
  status: "canceled" | "failed" | "pending" | "succeeded" | (string & {});
  attempts: Array<Attempt>;
  next_attempt_at?: string;
  created_at: string;
  finished_at?: string;
}

/** What one block paid. */
export interface DrawView {
  block_id: string;
  amount: number;
}

/** What a trigger would do: its ledger entries and the types of its events, in order. */
export interface Effects {
  ledger: Array<EntryEffect>;
  events: Array<string>;
}

/** Nothing to say. */
export interface EmptyBody {
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** An endpoint as the API shows it. Its secret is shown once, where the server made it. */
export interface Endpoint {
  id: string;
  url: string;
  events: Array<string>;
  severity?: string;
  billable_metric_key?: string;
  description?: string;
  format: "cloudevents" | "standard" | (string & {});
  status: "active" | "disabled" | (string & {});
  disabled_reason?: string;
  disabled_at?: string;
  failing_since?: string;
  has_secret: boolean;
  previous_secret_until?: string;
  follows_config?: boolean;
  created_at: string;
  updated_at: string;
}

/** An endpoint at its making or at a rotation, with the secret that the server made. */
export interface EndpointWithSecret {
  id: string;
  url: string;
  events: Array<string>;
  severity?: string;
  billable_metric_key?: string;
  description?: string;
  format: "cloudevents" | "standard" | (string & {});
  status: "active" | "disabled" | (string & {});
  disabled_reason?: string;
  disabled_at?: string;
  failing_since?: string;
  has_secret: boolean;
  previous_secret_until?: string;
  follows_config?: boolean;
  created_at: string;
  updated_at: string;
  secret?: string;
}

/** All endpoints; there are never more than fit into one page. */
export interface Endpoints {
  data: Array<Endpoint>;
  pagination: Record<string, unknown>;
}

/** The answer. `affordable_units` is null when nothing limits it. */
export interface EntitlementAnswer {
  allowed: boolean;
  reason: "insufficient_credits" | "no_matching_rule" | "not_entitled" | "ok" | "overage" | "quota_exceeded" | "rate_limited" | "subscription_overdue" | "subscription_paused" | "suspended" | (string & {});
  customer_id: string;
  external_customer_id: string | null;
  billable_metric_key: string;
  type: string;
  units: number | string;
  unit: string;
  balance: number;
  reserved_balance: number;
  effective_balance: number;
  estimated_cost: number;
  balance_after: number;
  affordable_units: number | string | null;
  subscription_status?: string;
  overage_policy: string;
  value: Record<string, unknown>;
  value_source: string;
  quota?: QuotaStanding;
  explanation?: Array<Record<string, unknown>>;
}

/** The value of a metric for subscribers of the variant. `feature_key` names the metric too. */
export interface EntitlementBodyFields {
  /** Its shape follows the metric's type. */
  value: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** The value of a metric for subscribers of the variant. `feature_key` names the metric too. */
export type EntitlementBody = FeatureReference & EntitlementBodyFields;

/** The value, replaced as a whole. */
export interface EntitlementPatch {
  /** Its shape follows the metric's type. */
  value: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What a variant says of one metric. */
export interface EntitlementView {
  billable_metric_key: string;
  value: Record<string, unknown>;
  plan_variant_id: string;
  variant_version: number;
}

/** A ledger entry that a trigger would write. */
export interface EntryEffect {
  type: string;
  unit: string;
  delta: number;
  balance_after: number;
}

/** One ledger entry. Texts are left out where there are none or they were erased. */
export interface EntryView {
  id: string;
  sequence: number;
  unit: string;
  type: string;
  delta: number;
  reserved_delta: number;
  balance_after: number;
  reserved_after: number;
  blocks: Array<BlockDelta>;
  reference?: Reference;
  idempotency_key?: string;
  request_id?: string;
  actor: string;
  reason?: string;
  metadata?: Record<string, unknown>;
  occurred_at: string;
  created_at: string;
  hash: string;
}

/** An event of the log. `external_customer_id` is absent once the customer was deleted. */
export interface Envelope {
  id: string;
  type: string;
  api_version: string;
  environment: string;
  tenant_id: string;
  created_at: string;
  sequence: number;
  customer_id?: string;
  external_customer_id?: string;
  request_id?: string;
  data: Record<string, unknown>;
}

/** One type of the catalog. `schema` is that of `data`; `example` a whole event. */
export interface EventTypeShown {
  type: string;
  group: string;
  description: string;
  is_default: boolean;
  schema: Record<string, unknown>;
  example: Record<string, unknown>;
}

/** The catalog. */
export interface EventTypes {
  data: Array<EventTypeShown>;
}

/** What is paid, from the account of `unit`, and what is granted for it. */
export interface Exchange {
  /** Millicredits (1 credit = 1,000), above 0. */
  debit_credits: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  grant: ExchangeGrant;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** Both legs of an exchange. `account` is that of the granted block. */
export interface ExchangeAnswer {
  customer_id: string;
  external_customer_id: string | null;
  debit: DebitView;
  block: BlockView;
  account: AccountView;
  version: number;
}

/** The block that an exchange buys. */
export interface ExchangeGrant {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  source?: "adjustment" | "exchange" | "plan_grant" | "promotional" | "refund" | "rollover" | "topup" | "trial";
  reason?: string;
  /** Lower burns first. */
  priority?: number;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  effective_at?: string;
  expires_at?: string | null;
  /** A length of time in seconds, at least 1. */
  expires_after_seconds?: number;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
}

/** How long the reservation lives from now on. */
export interface ExtendBody {
  /** 1 to 86,400 seconds. */
  ttl_seconds: number;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What the local receiver said. */
export interface ForwardResultBody {
  delivery_id: string;
  status?: number | null;
  error?: string | null;
  duration_ms?: number;
  answer?: string;
}

/** A delivery to hand on: the body as it is to be sent, and the headers that are not signatures. */
export interface ForwardedDelivery {
  id: string;
  event_id: string;
  event_type: string;
  headers: Record<string, string>;
  body: string;
}

/** Where the clock stands still; never in its past. */
export interface FreezeBody {
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  frozen_at: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A block to create. At most one of the two expiries; without either it never expires. */
export interface Grant {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  source?: "adjustment" | "exchange" | "plan_grant" | "promotional" | "refund" | "rollover" | "topup" | "trial";
  reason?: string;
  /** Lower burns first. */
  priority?: number;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  effective_at?: string;
  expires_at?: string | null;
  /** A length of time in seconds, at least 1. */
  expires_after_seconds?: number;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What creates a block answers. */
export interface GrantAnswer {
  customer_id: string;
  external_customer_id: string | null;
  block: BlockView;
  bonus_block?: BlockView;
  account: AccountView;
  version: number;
}

/** One month of a unit, in millicredits. What goes out is shown without its sign. */
export interface LiabilityMonth {
  month: string;
  opening?: number;
  granted_paid?: number;
  granted_free?: number;
  adjusted?: number;
  overage_billed?: number;
  spent?: number;
  expired?: number;
  refunded?: number;
  voided?: number;
  withdrawn?: number;
  closing?: number;
}

/** One row for each month, oldest first. */
export interface LiabilityReport {
  unit: string;
  data: Array<LiabilityMonth>;
}

/** A listener, and the secret by which what it hands on is signed; shown once. */
export interface Listener {
  id: string;
  events: Array<string>;
  secret?: string;
}

/** A new metric. `unit` and `scale` are fixed once it is used. */
export interface MetricBody {
  /** Lowercase letters, digits and underscores. */
  key: string;
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  description?: string;
  type?: "boolean" | "gauge" | "metered" | "static";
  aggregation?: "CumulativeCounter" | "Gauge" | "TotalCounter" | "UpDownCounter";
  /** The entitlement value where neither plan nor override says one. */
  default_value?: Record<string, unknown>;
  /** Decimals of the metric's units. */
  scale?: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What to change. `archived_at` null brings an archived metric back; other nulls clear the field. */
export interface MetricChange {
  /** Lowercase letters, digits and underscores. */
  key?: string;
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  description?: string | null;
  type?: "boolean" | "gauge" | "metered" | "static";
  aggregation?: "CumulativeCounter" | "Gauge" | "TotalCounter" | "UpDownCounter";
  default_value?: Record<string, unknown> | null;
  /** Decimals of the metric's units. */
  scale?: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  archived_at?: string | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A billable metric as it is answered. */
export interface MetricView {
  id: string;
  key: string;
  name: string;
  description?: string;
  type: string;
  aggregation?: string;
  default_value?: Record<string, unknown>;
  scale: number;
  unit: string;
  archived_at?: string;
  created_at: string;
  updated_at: string;
}

/** A key at its making, with its text: the only time that it is shown. */
export interface NewApiKey {
  id: string;
  name: string;
  key_prefix: string;
  scopes: Array<string>;
  created_at: string;
  last_used_at?: string | null;
  revoked_at?: string | null;
  key: string;
}

/** A customer to create. */
export interface NewCustomer {
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. */
  external_id: string;
  display_name?: string | null;
  email?: string | null;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A package to sell. */
export interface NewPackage {
  /** 1 to 255 characters, no control characters, no space at either end. */
  name: string;
  description?: string | null;
  /** Millicredits (1 credit = 1,000), above 0. */
  credits: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  price?: number | null;
  currency?: string | null;
  /** Lower burns first. */
  priority?: number;
  expires_after_seconds?: number | null;
  /** Millicredits (1 credit = 1,000), 0 or more. */
  bonus_credits?: number;
  active?: boolean;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A customer's own value of a metric; it counts until `expires_at`. */
export interface Override {
  /** By the metric's type: metered `{}` or `{enabled, quota}`, gauge `{cap}` or `{quota}`, boolean `{enabled}`, static `{config}`. */
  value: Record<string, unknown>;
  expires_at?: string | null;
  reason?: string | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A customer's override of one metric. `expires_at` is left out of one that stays. */
export interface OverrideView {
  customer_id: string;
  external_customer_id: string | null;
  billable_metric_key: string;
  value: Record<string, unknown>;
  expires_at?: string;
  reason?: string;
  created_at: string;
  updated_at: string;
  version: number;
}

/** What to change; what is left out stays, null takes an optional value away. */
export interface PackagePatch {
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  description?: string | null;
  /** Millicredits (1 credit = 1,000), above 0. */
  credits?: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  price?: number | null;
  currency?: string | null;
  /** Lower burns first. */
  priority?: number;
  expires_after_seconds?: number | null;
  /** Millicredits (1 credit = 1,000), 0 or more. */
  bonus_credits?: number;
  active?: boolean;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A topup package. `expires_after_seconds` null: its blocks never expire. */
export interface PackageView {
  id: string;
  name: string;
  description?: string;
  credits: number;
  unit: string;
  price?: number;
  currency?: string;
  priority: number;
  expires_after_seconds: number | null;
  bonus_credits: number;
  active: boolean;
  metadata: Record<string, unknown>;
  created_at: string;
  updated_at: string;
}

/** Where a list goes on: `next_cursor` is null on the last page. */
export interface Pagination {
  has_more: boolean;
  next_cursor: string | null;
}

/** A step that the subscription took. */
export interface PastTransition {
  at: string;
  trigger: string;
  from?: string;
  to: string;
}

/** What is left out stays; null takes a filter away. */
export interface PatchEndpoint {
  /** http or https, without user and fragment. */
  url?: string;
  /** Exact types (`credit.granted`), prefixes (`credit.*`) or `*`. `credit.consumed` and `reservation.created` come only to who names them exactly. */
  events?: Array<string>;
  severity?: string | null;
  billable_metric_key?: string | null;
  description?: string | null;
  format?: "cloudevents" | "standard";
  status?: "active" | "disabled";
  /** Another name of `billable_metric_key`. */
  feature_key?: string | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** Without `resumes_at` the pause lasts until it is resumed. */
export interface PauseBody {
  /** Show the effects and change nothing; needs no idempotency key. */
  dry_run?: boolean;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  resumes_at?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A new plan. Of one `family` a customer has at most one live subscription. */
export interface PlanBody {
  /** Lowercase letters, digits and underscores. */
  key: string;
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  description?: string;
  /** Lowercase letters, digits and underscores. */
  family?: string;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What to change. Metadata is merged, null deletes a key; `archived_at` null takes it back. */
export interface PlanPatch {
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  description?: string | null;
  /** Lowercase letters, digits and underscores. */
  family?: string;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  archived_at?: string | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A plan. Of one `family` a customer has at most one live subscription. */
export interface PlanView {
  id: string;
  key: string;
  name: string;
  description?: string;
  family: string;
  metadata: Record<string, unknown>;
  archived_at?: string;
  created_at: string;
  updated_at: string;
}

/** Units to price: by a draft (its terms beside the units), by `rule_id`, or by the rule in force. */
export interface PreviewBodyFields {
  units?: number | string;
  before?: number | string;
  /** Names and values, both strings. */
  dimensions?: Record<string, string>;
  rule_id?: string;
  cost_type?: "flat" | "per_unit" | "tiered";
  /** Millicredits (1 credit = 1,000), 0 or more. */
  flat_cost?: number;
  /** Millicredits (1 credit = 1,000), 0 or more. */
  unit_cost?: number;
  per_units?: number;
  tiers?: Array<TierBody>;
  tier_mode?: "graduated" | "volume";
  tier_scope?: "event" | "period";
  rounding?: "down" | "half_even" | "up";
  /** Names and values, both strings. */
  match?: Record<string, string>;
  overage_policy?: "allow" | "block" | "notify" | null;
  overage_limit?: number | null;
}

/** Units to price: by a draft (its terms beside the units), by `rule_id`, or by the rule in force. */
export type PreviewBody = FeatureReference & PreviewBodyFields;

/** The units that fall into one tier, and what they cost. */
export interface PreviewTier {
  up_to: number | string | null;
  units: number | string;
  cost: number;
}

/** What units would cost. `rule_id` is absent for a draft. */
export interface PreviewView {
  billable_metric_key: string;
  units: number | string;
  before: number | string;
  cost: number;
  unit: string;
  rule_id?: string;
  tiers?: Array<PreviewTier>;
}

/** RFC 9457. Members beyond these depend on `type`. */
export interface Problem {
  /** A page of this server; switch on its last part. */
  type: string;
  title: string;
  status: number;
  detail: string;
  /** The path of the request. */
  instance: string;
  request_id: string;
  errors?: Array<ProblemFault>;
  /** Millicredits. */
  required?: number;
  /** Millicredits. */
  available?: number;
  /** Millicredits. */
  shortfall?: number;
  required_scope?: string;
}

export interface ProblemFault {
  /** JSON pointer into the body, or the parameter's name. */
  pointer: string;
  detail: string;
}

/** What became of the deliveries fetched before. */
export interface Pull {
  results?: Array<ForwardResultBody>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What waits, in order. */
export interface PulledDeliveries {
  deliveries: Array<ForwardedDelivery>;
}

/** Where an asset stands in its quota: the tier that decides, and how much is left. `limit` and `remaining` are absent when no tier refuses by the value alone. */
export interface QuotaStanding {
  level: string;
  policy: string;
  value: number | string;
  limit?: number | string;
  remaining?: number | string;
  resets_at: string;
}

/** One thing that time did, at its own instant. */
export interface RanView {
  kind: string;
  customer_id: string;
  at: string;
}

/** `ready` when every check is `ok`; else the failed ones say why. */
export interface Readiness {
  ready: boolean;
  checks: Record<string, string>;
}

/** What an entry is about. */
export interface Reference {
  type: string;
  id: string;
}

/** What a refund could take. `spent` of the block is gone for good, `held` stayed for holds. */
export interface RefundAnswer {
  customer_id: string;
  external_customer_id: string | null;
  debit: DebitView;
  spent: number;
  held: number;
  account: AccountView;
  version: number;
}

/** The span, by the events' `created_at`: `from` inclusive, `to` exclusive. */
export interface Replay {
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from: string;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** How many events of the span are sent again. */
export interface ReplayAnswer {
  endpoint_id: string;
  events: number;
}

/** A reservation. What a commit adds is there once it was committed. */
export interface ReservationView {
  id: string;
  status: string;
  customer_id: string;
  external_customer_id: string | null;
  unit: string;
  reserved_amount: number;
  billable_metric_key?: string;
  estimated_units?: number | string;
  dimensions?: Record<string, string>;
  rule_id?: string;
  metadata?: Record<string, unknown>;
  actual_units?: number | string;
  committed_amount?: number;
  returned_amount?: number;
  usage_id?: string;
  blocks?: Array<DrawView>;
  overage?: number;
  quota?: QuotaStanding;
  balance?: number;
  reserved_balance?: number;
  effective_balance?: number;
  ledger_sequence?: number;
  expires_at: string;
  ended_at?: string;
  created_at: string;
  version?: number;
}

/** What to hold: `estimated_units` of a metric, or plain `credits` of a `unit`. */
export interface ReserveBodyFields {
  /** Lowercase letters, digits and underscores. */
  billable_metric_key?: string;
  estimated_units?: number | string;
  /** Names and values, both strings. */
  dimensions?: Record<string, string>;
  /** Millicredits (1 credit = 1,000), above 0. */
  credits?: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  /** 1 to 86,400 seconds. */
  ttl_seconds?: number;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Another name of `billable_metric_key`. */
  feature_key?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What to hold: `estimated_units` of a metric, or plain `credits` of a `unit`. */
export type ReserveBody = CustomerReference & ReserveBodyFields;

/** Nothing: what was is out of reach. */
export interface ResetView {
}

/** What a reversal gave back: `blocks` are what went to each block, new ones included. */
export interface ReversalView {
  usage: UsageView;
  refunded: number;
  blocks: Array<DrawView>;
  account: AccountView;
}

/** The old secret signs beside the new one for a while; 0 ends it at once, after a leak. */
export interface RotateSecret {
  /** Base64 of 16 to 64 bytes, with or without `whsec_`. */
  secret?: string;
  /** 24 hours by default. */
  overlap_seconds?: number;
  /** End an earlier overlap that still runs. */
  force?: boolean;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A price that is in force from now on, in place of the one of the same `match`. */
export interface RuleBodyFields {
  cost_type: "flat" | "per_unit" | "tiered";
  /** Millicredits (1 credit = 1,000), 0 or more. */
  flat_cost?: number;
  /** Millicredits (1 credit = 1,000), 0 or more. */
  unit_cost?: number;
  per_units?: number;
  tiers?: Array<TierBody>;
  tier_mode?: "graduated" | "volume";
  tier_scope?: "event" | "period";
  rounding?: "down" | "half_even" | "up";
  /** Names and values, both strings. */
  match?: Record<string, string>;
  overage_policy?: "allow" | "block" | "notify" | null;
  overage_limit?: number | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A price that is in force from now on, in place of the one of the same `match`. */
export type RuleBody = FeatureReference & RuleBodyFields;

/** A metering rule as it is answered; only the fields of its `cost_type` are there. */
export interface RuleView {
  id: string;
  billable_metric_key: string;
  cost_type: string;
  flat_cost?: number;
  unit_cost?: number;
  per_units?: number;
  tiers?: Array<TierView>;
  tier_mode?: string;
  tier_scope?: string;
  rounding: string;
  match: Record<string, string>;
  overage_policy: string | null;
  overage_limit: number | null;
  active: boolean;
  active_from: string;
  active_to: string | null;
  created_at: string;
}

/** A step that time will take if nobody does anything before; `to` is the status after it. */
export interface ScheduledTransition {
  at: string;
  trigger: string;
  to: string;
  plan_variant_id?: string;
  grant_template_id?: string;
}

/** `webhook.test` by default; in a test environment any type, with its example. */
export interface SendTest {
  type?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What came of an event: `granted`, `renewed`, `refunded`, `suspended` or `ignored`. */
export interface StripeResult {
  result: string;
  detail?: string;
}

/** A new subscription. An unknown `external_customer_id` becomes a customer. */
export interface SubscriptionBodyFields {
  plan_variant_id: string;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  starts_at?: string;
  /** Days of 24 hours. */
  trial_days?: number;
  grandfathered?: boolean;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Show the effects and change nothing; needs no idempotency key. */
  dry_run?: boolean;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A new subscription. An unknown `external_customer_id` becomes a customer. */
export type SubscriptionBody = CustomerReference & SubscriptionBodyFields;

/** What to change. Metadata is merged, null deletes a key; `grandfathered` pins the version. */
export interface SubscriptionPatch {
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  grandfathered?: boolean;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A subscription. Instants that do not apply in its state are left out. */
export interface SubscriptionView {
  id: string;
  customer_id: string;
  external_customer_id: string | null;
  plan_id: string;
  plan_variant_id: string;
  variant_version: number;
  status: string;
  billing_mode: string;
  anchor_at: string;
  current_period_start: string;
  current_period_end: string;
  trial_ends_at?: string;
  renewal_due_at?: string;
  grace_ends_at?: string;
  paid_through?: string;
  paused_at?: string;
  pause_resumes_at?: string;
  cancel_at_period_end: boolean;
  canceled_at?: string;
  ended_at?: string;
  pending_plan_variant_id?: string;
  grandfathered: boolean;
  contract?: ContractView;
  metadata: Record<string, unknown>;
  created_at: string;
  updated_at: string;
  version?: number;
  effects?: Effects;
}

/** What the variant grants. A cycle grant ends with its cycle unless it says when it expires. */
export interface TemplateBody {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  recurrence?: "activation" | "cycle" | "interval";
  /** From one tick of the fixed grid to the next; a minute at least. */
  interval_seconds?: number;
  /** A length of time in seconds, at least 1. */
  expires_after_seconds?: number;
  expires_with_cycle?: boolean;
  /** Lower burns first. */
  priority?: number;
  source?: "plan_grant" | "promotional" | "topup" | "trial";
  /** 0 to 100. */
  rollover_percentage?: number;
  /** Millicredits (1 credit = 1,000), above 0. */
  rollover_max?: number;
  /** Millicredits (1 credit = 1,000), above 0. */
  accumulation_cap?: number;
  in_trial?: boolean;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What a variant grants, and when. Amounts are millicredits. */
export interface TemplateView {
  id: string;
  credits: number;
  unit: string;
  recurrence: string;
  interval_seconds?: number;
  expires_after_seconds?: number;
  expires_with_cycle: boolean;
  priority: number;
  source: string;
  rollover_percentage: number;
  rollover_max?: number;
  accumulation_cap?: number;
  in_trial: boolean;
  metadata: Record<string, unknown>;
  created_at?: string;
}

/** The environment's settings, defaults filled in. Secrets are never shown. `stripe_webhook_path` is where Stripe's events go, null until `stripe_webhook_secret` is set. */
export interface TenantConfig {
  webhook_url?: string | null;
  stripe_webhook_path?: string | null;
  overage_policy?: "allow" | "block" | "notify" | (string & {});
  overage_limit?: number | null;
  low_balance_threshold?: number | null;
  priority_order?: "asc" | "desc" | (string & {});
  default_free_plan_variant_id?: string | null;
  requests_per_minute?: number | null;
  late_event_window?: number;
}

/** What to change; null puts a setting back to its default, what is left out stays. */
export interface TenantConfigPatch {
  webhook_url?: string | null;
  webhook_secret?: string | null;
  stripe_webhook_secret?: string | null;
  overage_policy?: "allow" | "block" | "notify" | null;
  overage_limit?: number | null;
  low_balance_threshold?: number | null;
  priority_order?: "asc" | "desc" | null;
  default_free_plan_variant_id?: string | null;
  requests_per_minute?: number | null;
  late_event_window?: number | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** One tier: up to `up_to` units, the last one null. */
export interface TierBody {
  up_to: number | string | null;
  /** Millicredits (1 credit = 1,000), 0 or more. */
  unit_cost?: number;
  per_units?: number;
  /** Millicredits (1 credit = 1,000), 0 or more. */
  flat_cost?: number;
}

/** One step of a tiered price; `up_to` null is the last one. */
export interface TierView {
  up_to: number | string | null;
  unit_cost: number;
  per_units: number;
  flat_cost: number;
}

/** The last 100 transitions, oldest first, and the next one of each kind, soonest first. */
export interface TimelineView {
  id: string;
  customer_id: string;
  external_customer_id: string | null;
  status: string;
  past: Array<PastTransition>;
  scheduled: Array<ScheduledTransition>;
  version?: number;
}

/** What was paid for. The package fills what is left out; what is given wins. */
export interface TopupGrantFields {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits?: number;
  package_id?: string;
  /** In the smallest unit of `currency`. */
  price_paid?: number;
  /** ISO 4217. */
  currency?: string;
  /** 1 to 255 characters, no control characters, no space at either end. */
  external_payment_id?: string;
  /** Lower burns first. */
  priority?: number;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  expires_at?: string;
  /** A length of time in seconds, at least 1. */
  expires_after_seconds?: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  reason?: string;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What was paid for. The package fills what is left out; what is given wins. */
export type TopupGrant = CustomerReference & TopupGrantFields;

/** How much to take back: all that is left, `credits`, or a `fraction` of what was bought. */
export interface TopupRefund {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits?: number;
  /** Above 0, at most 1: a number, or its decimal digits in a string, which are exact. */
  fraction?: string | number;
  reason?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** The sample's id, and a delivery of it for each endpoint that wants its type. */
export interface TriggerAnswer {
  event_id: string;
  deliveries: Array<Delivery>;
}

/** A trigger without terms of its own. */
export interface TriggerBody {
  /** Show the effects and change nothing; needs no idempotency key. */
  dry_run?: boolean;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A type of the catalog. */
export interface TriggerEvent {
  type: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** One usage event. `units` (default 1), or `value` for a TotalCounter or a Gauge. */
export interface UsageBodyFields {
  units?: number | string;
  value?: number | string;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  timestamp?: string;
  /** Names and values, both strings. */
  dimensions?: Record<string, string>;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  enforcement?: "enforce" | "record";
  dry_run?: boolean;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** One usage event. `units` (default 1), or `value` for a TotalCounter or a Gauge. */
export type UsageBody = FeatureReference & CustomerReference & UsageBodyFields;

/** A usage event. The balances and the quota are those of the moment it was charged: only the answer to the request that made it has them. */
export interface UsageView {
  id: string;
  status: string;
  customer_id: string;
  external_customer_id: string | null;
  billable_metric_key?: string;
  units?: number | string;
  value?: number | string;
  cost: number;
  unit: string;
  rule_id?: string;
  reservation_id?: string;
  blocks: Array<DrawView>;
  overage: number;
  quota?: QuotaStanding;
  balance?: number;
  reserved_balance?: number;
  effective_balance?: number;
  ledger_sequence?: number;
  timestamp: string;
  dimensions?: Record<string, string>;
  metadata?: Record<string, unknown>;
  enforcement?: string;
  dry_run?: boolean;
  idempotency_key?: string;
  reversed_at?: string;
  refunded?: number;
  problem?: Record<string, unknown>;
  created_at: string;
  version?: number;
}

/** A new variant of a plan. */
export interface VariantBody {
  billing_mode?: "postpaid" | "prepaid";
  interval?: "day" | "month" | "week" | "year";
  /** Intervals in one period. */
  interval_count?: number;
  /** Days of 24 hours. */
  trial_days?: number;
  /** Days of 24 hours. */
  renewal_due_days?: number;
  /** Days of 24 hours. */
  grace_period_days?: number;
  allow_usage_while_overdue?: boolean;
  overage_policy?: "allow" | "block" | "notify" | null;
  overage_limit?: number | null;
  contract?: ContractBody | null;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Lowercase letters, digits and underscores. */
  key: string;
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  /** A higher rank is an upgrade. */
  rank?: number;
  /** In the smallest unit of `currency`. */
  price?: number;
  /** ISO 4217. */
  currency?: string;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** What to change; with subscribers it is published as a new version. */
export interface VariantPatch {
  billing_mode?: "postpaid" | "prepaid";
  interval?: "day" | "month" | "week" | "year";
  /** Intervals in one period. */
  interval_count?: number;
  /** Days of 24 hours. */
  trial_days?: number;
  /** Days of 24 hours. */
  renewal_due_days?: number;
  /** Days of 24 hours. */
  grace_period_days?: number;
  allow_usage_while_overdue?: boolean;
  overage_policy?: "allow" | "block" | "notify" | null;
  overage_limit?: number | null;
  contract?: ContractBody | null;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** 1 to 255 characters, no control characters, no space at either end. */
  name?: string;
  rank?: number | null;
  price?: number | null;
  currency?: string | null;
  archived_at?: string | null;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A variant in one version, with what it grants and entitles to. `contract` null: none. */
export interface VariantView {
  id: string;
  version: number;
  plan_id: string;
  key: string;
  name: string;
  rank?: number;
  billing_mode: string;
  interval: string;
  interval_count: number;
  price?: number;
  currency?: string;
  trial_days: number;
  renewal_due_days: number;
  grace_period_days: number;
  allow_usage_while_overdue: boolean;
  overage_policy?: string;
  overage_limit?: number;
  contract: ContractTerms | null;
  metadata: Record<string, unknown>;
  credit_grants: Array<TemplateView>;
  entitlements: Record<string, Record<string, unknown>>;
  archived_at?: string;
  created_at: string;
  updated_at: string;
}

/** What was checked, and what is broken: at most the first hundred accounts. */
export interface Verification {
  ok?: boolean;
  customers?: number;
  accounts?: number;
  entries?: number;
  broken?: Array<Broken>;
}

/** What runs here. */
export interface Version {
  version: string;
  python: string;
}

/** Credits to take out. */
export interface Withdrawal {
  /** Millicredits (1 credit = 1,000), above 0. */
  credits: number;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  reason?: string;
  /** A JSON object of at most 50 keys and 16 KiB. */
  metadata?: Record<string, unknown>;
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}
