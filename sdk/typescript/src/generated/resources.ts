// Written by scripts/generate.mjs from the server's /openapi.json. Not edited by hand.

import type { Pages } from "../pages.js";
import type { CustomerReference, EmptyRequest, FeatureReference } from "../references.js";
import { Resource } from "../resource.js";
import type { CallOptions, Transport } from "../transport.js";
import type {
  AcceptedView,
  AccountStatus,
  AccountView,
  Adjustment,
  AdvanceBody,
  Alive,
  ApiKey,
  AssetPeriod,
  AssetTopup,
  AssetView,
  AssetWithdrawal,
  AuditEntry,
  AutoTopupTerms,
  AutoTopupView,
  BatchBody,
  BatchView,
  BlockView,
  BlockVoid,
  CancelBody,
  ChangePlanBody,
  CheckBatch,
  CheckResults,
  ClockView,
  CommitBody,
  CreateApiKey,
  CreateEndpoint,
  CreateListener,
  CustomerPatch,
  CustomerView,
  DebitAnswer,
  DeletedCustomerView,
  Delivery,
  EmptyBody,
  Endpoint,
  EndpointWithSecret,
  Endpoints,
  EntitlementAnswer,
  EntitlementBody,
  EntitlementPatch,
  EntitlementView,
  EntryView,
  Envelope,
  EventTypes,
  Exchange,
  ExchangeAnswer,
  ExtendBody,
  FreezeBody,
  Grant,
  GrantAnswer,
  LiabilityReport,
  Listener,
  MetricBody,
  MetricChange,
  MetricView,
  NewApiKey,
  NewCustomer,
  NewPackage,
  Override,
  OverrideView,
  PackagePatch,
  PackageView,
  PatchEndpoint,
  PauseBody,
  PlanBody,
  PlanPatch,
  PlanView,
  PreviewBody,
  PreviewView,
  Pull,
  PulledDeliveries,
  Readiness,
  RefundAnswer,
  Replay,
  ReplayAnswer,
  ReservationView,
  ReserveBody,
  ResetView,
  ReversalView,
  RotateSecret,
  RuleBody,
  RuleView,
  SendTest,
  StripeResult,
  SubscriptionBody,
  SubscriptionPatch,
  SubscriptionView,
  TemplateBody,
  TemplateView,
  TenantConfig,
  TenantConfigPatch,
  TimelineView,
  TopupGrant,
  TopupRefund,
  TriggerAnswer,
  TriggerBody,
  TriggerEvent,
  UsageBody,
  UsageView,
  VariantBody,
  VariantPatch,
  VariantView,
  Verification,
  Version,
  Withdrawal,
} from "./schemas.js";

export interface CustomersListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from?: string | Date;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string | Date;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. */
  external_id?: string;
  email?: string;
  /** A prefix; upper and lower case are one. */
  q?: string;
}

export interface CreditsGetQuery {
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  include_blocks?: boolean;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  at?: string | Date;
}

export interface CreditsListBlocksQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  status?: "active" | "depleted" | "expired" | "pending" | "voided";
  source?: "adjustment" | "exchange" | "plan_grant" | "promotional" | "refund" | "rollover" | "topup" | "trial";
  sort?: "burn_order" | "created_at" | "expires_at";
}

export interface CreditsListLedgerQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from?: string | Date;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string | Date;
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  type?: "adjustment" | "commit" | "exchange" | "expire" | "grant" | "grant_scheduled" | "overage" | "overage_billed" | "overage_settlement" | "refund" | "release" | "reschedule" | "reservation_expired" | "reserve" | "rollover_in" | "rollover_out" | "topup_refund" | "usage" | "void" | "withdrawal";
  /** 1 to 255 characters, no control characters, no space at either end. */
  reference_id?: string;
  block_id?: string;
}

export interface TopupsGetAutoTopupQuery {
  /** The account: `credits` unless said otherwise. */
  unit?: string;
}

export interface TopupsDeleteAutoTopupQuery {
  /** The account: `credits` unless said otherwise. */
  unit?: string;
}

export interface PackagesListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  active?: boolean;
}

export interface MetricsListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  type?: "boolean" | "gauge" | "metered" | "static";
  archived?: boolean;
}

export interface RulesListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** Lowercase letters, digits and underscores. `feature_key` is accepted as another name. */
  billable_metric_key?: string;
  active?: boolean;
  feature_key?: string;
}

export interface UsageListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from?: string | Date;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string | Date;
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. `end_user_id` is accepted as another name. */
  external_customer_id?: string;
  /** Lowercase letters, digits and underscores. `feature_key` is accepted as another name. */
  billable_metric_key?: string;
  status?: "accepted" | "applied" | "rejected" | "reversed";
  dimension?: string;
  reservation_id?: string;
  end_user_id?: string;
  feature_key?: string;
}

export interface EntitlementsCheckQuery {
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. `end_user_id` is accepted as another name. */
  external_customer_id?: string;
  /** Units in a query: an integer, or decimals where the metric has a scale. */
  units?: number | string;
  /** Units in a query: an integer, or decimals where the metric has a scale. */
  current?: number | string;
  /** Dimensions of the event, as `name:value`, several separated by commas. */
  dimensions?: string | Record<string, string>;
  explain?: boolean;
  /** `cached` is at most 100 ms behind what another process wrote; `strong` reads the database. */
  consistency?: "cached" | "strong";
  end_user_id?: string;
}

export interface EntitlementsCheckBatchQuery {
  /** `cached` is at most 100 ms behind what another process wrote; `strong` reads the database. */
  consistency?: "cached" | "strong";
}

export interface EntitlementsListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** `cached` is at most 100 ms behind what another process wrote; `strong` reads the database. */
  consistency?: "cached" | "strong";
}

export interface EntitlementsGetQuery {
  /** Units in a query: an integer, or decimals where the metric has a scale. */
  units?: number | string;
  /** Units in a query: an integer, or decimals where the metric has a scale. */
  current?: number | string;
  /** Dimensions of the event, as `name:value`, several separated by commas. */
  dimensions?: string | Record<string, string>;
  explain?: boolean;
  /** `cached` is at most 100 ms behind what another process wrote; `strong` reads the database. */
  consistency?: "cached" | "strong";
}

export interface ReservationsListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. `end_user_id` is accepted as another name. */
  external_customer_id?: string;
  status?: "active" | "committed" | "expired" | "released";
  /** Lowercase letters, digits and underscores. `feature_key` is accepted as another name. */
  billable_metric_key?: string;
  end_user_id?: string;
  feature_key?: string;
}

export interface AssetsListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  at?: string | Date;
}

export interface AssetsGetQuery {
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  at?: string | Date;
}

export interface AssetsListHistoryQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
}

export interface PlansListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
}

export interface PlansListVariantsQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
}

export interface PlansGetVariantQuery {
  version?: number;
}

export interface PlansListCreditGrantsQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
}

export interface PlansListEntitlementsQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
}

export interface SubscriptionsListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. `end_user_id` is accepted as another name. */
  external_customer_id?: string;
  status?: "active" | "canceled" | "expired" | "overdue" | "paused" | "trialing";
  plan_id?: string;
  plan_variant_id?: string;
  end_user_id?: string;
}

export interface WebhooksListDeliveriesQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from?: string | Date;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string | Date;
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. `end_user_id` is accepted as another name. */
  external_customer_id?: string;
  status?: "canceled" | "failed" | "pending" | "succeeded";
  endpoint_id?: string;
  event_id?: string;
  end_user_id?: string;
}

export interface EventsListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from?: string | Date;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string | Date;
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. `end_user_id` is accepted as another name. */
  external_customer_id?: string;
  /** A type, `credit.*` or `*`. */
  type?: string;
  end_user_id?: string;
}

export interface LedgerVerifyQuery {
  customer?: string;
}

export interface AnalyticsLiabilityQuery {
  /** The account: `credits` unless said otherwise. */
  unit?: string;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from?: string | Date;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string | Date;
  customer_id?: string;
  /** Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible ones, no space at either end, not `.` or `..`. `end_user_id` is accepted as another name. */
  external_customer_id?: string;
  end_user_id?: string;
}

export interface AuditLogListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  from?: string | Date;
  /** RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC. */
  to?: string | Date;
  /** 1 to 255 characters, no control characters, no space at either end. */
  object_type?: string;
  /** 1 to 255 characters, no control characters, no space at either end. */
  object_id?: string;
}

export interface ApiKeysListQuery {
  /** Rows in one page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
  order?: "asc" | "desc";
}

export class Server extends Resource {
  /** Is the process alive. `GET /livez` */
  live(options?: CallOptions): Promise<Alive> {
    return this.call({ method: "GET", path: "/livez" }, [], undefined, options);
  }

  /** Can the process serve requests. `GET /readyz` */
  ready(options?: CallOptions): Promise<Readiness> {
    return this.call({ method: "GET", path: "/readyz" }, [], undefined, options);
  }

  /** Which version runs. `GET /version` */
  version(options?: CallOptions): Promise<Version> {
    return this.call({ method: "GET", path: "/version" }, [], undefined, options);
  }

  /** Metrics for Prometheus. `GET /metrics` */
  metrics(options?: CallOptions): Promise<string> {
    return this.call({ method: "GET", path: "/metrics" }, [], undefined, options);
  }

  /** This document. `GET /openapi.json` */
  openapi(options?: CallOptions): Promise<Record<string, unknown>> {
    return this.call({ method: "GET", path: "/openapi.json" }, [], undefined, options);
  }
}

export class Customers extends Resource {
  /** Create a customer. `POST /v1/customers` */
  create(args: NewCustomer, options?: CallOptions): Promise<CustomerView> {
    return this.call({ method: "POST", path: "/v1/customers", keyed: true }, [], args, options);
  }

  /** List customers. `GET /v1/customers` */
  list(args?: CustomersListQuery, options?: CallOptions): Pages<CustomerView> {
    return this.pages({ method: "GET", path: "/v1/customers" }, [], args, options);
  }

  /** Read a customer. `GET /v1/customers/{customer_id}` */
  get(args: CustomerReference, options?: CallOptions): Promise<CustomerView> {
    return this.call({ method: "GET", path: "/v1/customers/{customer_id}" }, [], args, options);
  }

  /** Change a customer. `PATCH /v1/customers/{customer_id}` */
  update(args: CustomerReference & CustomerPatch, options?: CallOptions): Promise<CustomerView> {
    return this.call({ method: "PATCH", path: "/v1/customers/{customer_id}", keyed: true }, [], args, options);
  }

  /** Delete a customer. `DELETE /v1/customers/{customer_id}` */
  delete(args: CustomerReference, options?: CallOptions): Promise<DeletedCustomerView> {
    return this.call({ method: "DELETE", path: "/v1/customers/{customer_id}", keyed: true }, [], args, options);
  }
}

export class Credits extends Resource {
  /** Read the account. `GET /v1/customers/{customer_id}/credits` */
  get(args: CustomerReference & CreditsGetQuery, options?: CallOptions): Promise<AccountView> {
    return this.call({ method: "GET", path: "/v1/customers/{customer_id}/credits" }, [], args, options);
  }

  /** List blocks. `GET /v1/customers/{customer_id}/credits/blocks` */
  listBlocks(args: CustomerReference & CreditsListBlocksQuery, options?: CallOptions): Pages<BlockView> {
    return this.pages({ method: "GET", path: "/v1/customers/{customer_id}/credits/blocks" }, [], args, options);
  }

  /** List ledger entries. `GET /v1/customers/{customer_id}/credits/ledger` */
  listLedger(args: CustomerReference & CreditsListLedgerQuery, options?: CallOptions): Pages<EntryView> {
    return this.pages({ method: "GET", path: "/v1/customers/{customer_id}/credits/ledger" }, [], args, options);
  }

  /** Grant credits. `POST /v1/customers/{customer_id}/credits/grant` */
  grant(args: CustomerReference & Grant, options?: CallOptions): Promise<GrantAnswer> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/credits/grant", keyed: true }, [], args, options);
  }

  /** Adjust the balance. `POST /v1/customers/{customer_id}/credits/adjust` */
  adjust(args: CustomerReference & Adjustment, options?: CallOptions): Promise<DebitAnswer | GrantAnswer> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/credits/adjust", keyed: true }, [], args, options);
  }

  /** Withdraw credits. `POST /v1/customers/{customer_id}/credits/withdraw` */
  withdraw(args: CustomerReference & Withdrawal, options?: CallOptions): Promise<DebitAnswer> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/credits/withdraw", keyed: true }, [], args, options);
  }

  /** Exchange credits for a block. `POST /v1/customers/{customer_id}/credits/exchange` */
  exchange(args: CustomerReference & Exchange, options?: CallOptions): Promise<ExchangeAnswer> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/credits/exchange", keyed: true }, [], args, options);
  }

  /** Void a block. `POST /v1/customers/{customer_id}/credits/blocks/{block_id}/void` */
  voidBlock(block_id: string, args: CustomerReference & BlockVoid, options?: CallOptions): Promise<DebitAnswer> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/credits/blocks/{block_id}/void", keyed: true }, [block_id], args, options);
  }

  /** Suspend an account. `POST /v1/customers/{customer_id}/credits/suspend` */
  suspend(args: CustomerReference & AccountStatus, options?: CallOptions): Promise<AccountView> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/credits/suspend", keyed: true }, [], args, options);
  }

  /** Resume an account. `POST /v1/customers/{customer_id}/credits/resume` */
  resume(args: CustomerReference & AccountStatus, options?: CallOptions): Promise<AccountView> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/credits/resume", keyed: true }, [], args, options);
  }
}

export class Topups extends Resource {
  /** Grant what was paid for. `POST /v1/topup/grant` */
  grant(args: TopupGrant, options?: CallOptions): Promise<GrantAnswer> {
    return this.call({ method: "POST", path: "/v1/topup/grant", keyed: true }, [], args, options);
  }

  /** Refund a topup. `POST /v1/topup/{block_id}/refund` */
  refund(block_id: string, args?: TopupRefund, options?: CallOptions): Promise<RefundAnswer> {
    return this.call({ method: "POST", path: "/v1/topup/{block_id}/refund", keyed: true }, [block_id], args, options);
  }

  /** Set the auto-topup. `PUT /v1/customers/{customer_id}/auto-topup` */
  setAutoTopup(args: CustomerReference & AutoTopupTerms, options?: CallOptions): Promise<AutoTopupView> {
    return this.call({ method: "PUT", path: "/v1/customers/{customer_id}/auto-topup", keyed: true }, [], args, options);
  }

  /** Read the auto-topup. `GET /v1/customers/{customer_id}/auto-topup` */
  getAutoTopup(args: CustomerReference & TopupsGetAutoTopupQuery, options?: CallOptions): Promise<AutoTopupView> {
    return this.call({ method: "GET", path: "/v1/customers/{customer_id}/auto-topup" }, [], args, options);
  }

  /** Delete the auto-topup. `DELETE /v1/customers/{customer_id}/auto-topup` */
  deleteAutoTopup(args: CustomerReference & TopupsDeleteAutoTopupQuery, options?: CallOptions): Promise<void> {
    return this.call({ method: "DELETE", path: "/v1/customers/{customer_id}/auto-topup", keyed: true }, [], args, options);
  }
}

export class Packages extends Resource {
  /** Create a topup package. `POST /v1/topup/packages` */
  create(args: NewPackage, options?: CallOptions): Promise<PackageView> {
    return this.call({ method: "POST", path: "/v1/topup/packages", keyed: true }, [], args, options);
  }

  /** List topup packages. `GET /v1/topup/packages` */
  list(args?: PackagesListQuery, options?: CallOptions): Pages<PackageView> {
    return this.pages({ method: "GET", path: "/v1/topup/packages" }, [], args, options);
  }

  /** Read a topup package. `GET /v1/topup/packages/{package_id}` */
  get(package_id: string, options?: CallOptions): Promise<PackageView> {
    return this.call({ method: "GET", path: "/v1/topup/packages/{package_id}" }, [package_id], undefined, options);
  }

  /** Change a topup package. `PATCH /v1/topup/packages/{package_id}` */
  update(package_id: string, args?: PackagePatch, options?: CallOptions): Promise<PackageView> {
    return this.call({ method: "PATCH", path: "/v1/topup/packages/{package_id}", keyed: true }, [package_id], args, options);
  }
}

export class Metrics extends Resource {
  /** Create a billable metric. `POST /v1/billable-metrics` */
  create(args: MetricBody, options?: CallOptions): Promise<MetricView> {
    return this.call({ method: "POST", path: "/v1/billable-metrics", keyed: true }, [], args, options);
  }

  /** List billable metrics. `GET /v1/billable-metrics` */
  list(args?: MetricsListQuery, options?: CallOptions): Pages<MetricView> {
    return this.pages({ method: "GET", path: "/v1/billable-metrics" }, [], args, options);
  }

  /** Read a billable metric. `GET /v1/billable-metrics/{key}` */
  get(key: string, options?: CallOptions): Promise<MetricView> {
    return this.call({ method: "GET", path: "/v1/billable-metrics/{key}" }, [key], undefined, options);
  }

  /** Change a billable metric. `PATCH /v1/billable-metrics/{key}` */
  update(key: string, args?: MetricChange, options?: CallOptions): Promise<MetricView> {
    return this.call({ method: "PATCH", path: "/v1/billable-metrics/{key}", keyed: true }, [key], args, options);
  }
}

export class Rules extends Resource {
  /** Put a price in force. `POST /v1/metering-rules` */
  create(args: RuleBody, options?: CallOptions): Promise<RuleView> {
    return this.call({ method: "POST", path: "/v1/metering-rules", keyed: true }, [], args, options);
  }

  /** List prices, past ones included. `GET /v1/metering-rules` */
  list(args?: RulesListQuery, options?: CallOptions): Pages<RuleView> {
    return this.pages({ method: "GET", path: "/v1/metering-rules" }, [], args, options);
  }

  /** Read a price. `GET /v1/metering-rules/{id}` */
  get(id: string, options?: CallOptions): Promise<RuleView> {
    return this.call({ method: "GET", path: "/v1/metering-rules/{id}" }, [id], undefined, options);
  }

  /** End a price without another in its place. `POST /v1/metering-rules/{id}/deactivate` */
  deactivate(id: string, args?: EmptyRequest, options?: CallOptions): Promise<RuleView> {
    return this.call({ method: "POST", path: "/v1/metering-rules/{id}/deactivate", keyed: true }, [id], args, options);
  }

  /** Price units without writing anything. `POST /v1/metering-rules/preview` */
  preview(args: PreviewBody, options?: CallOptions): Promise<PreviewView> {
    return this.call({ method: "POST", path: "/v1/metering-rules/preview" }, [], args, options);
  }
}

export class Usage extends Resource {
  /** Record and charge a usage event. `POST /v1/usage` */
  record(args: UsageBody, options: CallOptions & { respondAsync: true }): Promise<AcceptedView>;
  record(args: UsageBody, options?: CallOptions): Promise<UsageView>;
  record(args: UsageBody, options?: CallOptions): Promise<UsageView | AcceptedView> {
    return this.call({ method: "POST", path: "/v1/usage", keyed: true }, [], args, options);
  }

  /** Record many usage events, each on its own. `POST /v1/usage/batch` */
  recordBatch(args: BatchBody, options?: CallOptions): Promise<BatchView> {
    return this.call({ method: "POST", path: "/v1/usage/batch" }, [], args, options);
  }

  /** List usage events. `GET /v1/usage` */
  list(args?: UsageListQuery, options?: CallOptions): Pages<UsageView> {
    return this.pages({ method: "GET", path: "/v1/usage" }, [], args, options);
  }

  /** Read a usage event. `GET /v1/usage/{id}` */
  get(id: string, options?: CallOptions): Promise<UsageView> {
    return this.call({ method: "GET", path: "/v1/usage/{id}" }, [id], undefined, options);
  }

  /** Take a usage event back. `POST /v1/usage/{id}/reverse` */
  reverse(id: string, args?: EmptyRequest, options?: CallOptions): Promise<ReversalView> {
    return this.call({ method: "POST", path: "/v1/usage/{id}/reverse", keyed: true }, [id], args, options);
  }
}

export class Entitlements extends Resource {
  /** Check an entitlement, named in the query. `GET /v1/entitlements/check` */
  check(args: FeatureReference & EntitlementsCheckQuery, options?: CallOptions): Promise<EntitlementAnswer> {
    return this.call({ method: "GET", path: "/v1/entitlements/check" }, [], args, options);
  }

  /** Check up to 100 entitlements. `POST /v1/entitlements/check` */
  checkBatch(args: CheckBatch & EntitlementsCheckBatchQuery, options?: CallOptions): Promise<CheckResults> {
    return this.call({ method: "POST", path: "/v1/entitlements/check", query: ["consistency"] }, [], args, options);
  }

  /** Check all metrics of a customer. `GET /v1/customers/{customer_id}/entitlements` */
  list(args: CustomerReference & EntitlementsListQuery, options?: CallOptions): Pages<EntitlementAnswer> {
    return this.pages({ method: "GET", path: "/v1/customers/{customer_id}/entitlements" }, [], args, options);
  }

  /** Check an entitlement. `GET /v1/customers/{customer_id}/entitlements/{billable_metric_key}` */
  get(billable_metric_key: string, args: CustomerReference & EntitlementsGetQuery, options?: CallOptions): Promise<EntitlementAnswer> {
    return this.call({ method: "GET", path: "/v1/customers/{customer_id}/entitlements/{billable_metric_key}" }, [billable_metric_key], args, options);
  }

  /** Override a customer's entitlement. `PUT /v1/customers/{customer_id}/entitlements/{billable_metric_key}` */
  setOverride(billable_metric_key: string, args: CustomerReference & Override, options?: CallOptions): Promise<OverrideView> {
    return this.call({ method: "PUT", path: "/v1/customers/{customer_id}/entitlements/{billable_metric_key}", keyed: true }, [billable_metric_key], args, options);
  }

  /** Delete a customer's override. `DELETE /v1/customers/{customer_id}/entitlements/{billable_metric_key}` */
  deleteOverride(billable_metric_key: string, args: CustomerReference, options?: CallOptions): Promise<void> {
    return this.call({ method: "DELETE", path: "/v1/customers/{customer_id}/entitlements/{billable_metric_key}", keyed: true }, [billable_metric_key], args, options);
  }
}

export class Reservations extends Resource {
  /** Hold credits, and units in the quota. `POST /v1/reserve` */
  create(args: ReserveBody, options?: CallOptions): Promise<ReservationView> {
    return this.call({ method: "POST", path: "/v1/reserve", keyed: true }, [], args, options);
  }

  /** List reservations. `GET /v1/reserve` */
  list(args?: ReservationsListQuery, options?: CallOptions): Pages<ReservationView> {
    return this.pages({ method: "GET", path: "/v1/reserve" }, [], args, options);
  }

  /** Read a reservation. `GET /v1/reserve/{id}` */
  get(id: string, options?: CallOptions): Promise<ReservationView> {
    return this.call({ method: "GET", path: "/v1/reserve/{id}" }, [id], undefined, options);
  }

  /** Pay for what was used and free the rest. `POST /v1/reserve/{id}/commit` */
  commit(id: string, args?: CommitBody, options?: CallOptions): Promise<ReservationView> {
    return this.call({ method: "POST", path: "/v1/reserve/{id}/commit", keyed: true }, [id], args, options);
  }

  /** Give all of a reservation back. `POST /v1/reserve/{id}/release` */
  release(id: string, args?: EmptyRequest, options?: CallOptions): Promise<ReservationView> {
    return this.call({ method: "POST", path: "/v1/reserve/{id}/release", keyed: true }, [id], args, options);
  }

  /** Let a reservation live longer. `POST /v1/reserve/{id}/extend` */
  extend(id: string, args: ExtendBody, options?: CallOptions): Promise<ReservationView> {
    return this.call({ method: "POST", path: "/v1/reserve/{id}/extend", keyed: true }, [id], args, options);
  }
}

export class Assets extends Resource {
  /** List a customer's assets. `GET /v1/customers/{customer_id}/assets` */
  list(args: CustomerReference & AssetsListQuery, options?: CallOptions): Pages<AssetView> {
    return this.pages({ method: "GET", path: "/v1/customers/{customer_id}/assets" }, [], args, options);
  }

  /** Read an asset. `GET /v1/customers/{customer_id}/assets/{billable_metric_key}` */
  get(billable_metric_key: string, args: CustomerReference & AssetsGetQuery, options?: CallOptions): Promise<AssetView> {
    return this.call({ method: "GET", path: "/v1/customers/{customer_id}/assets/{billable_metric_key}" }, [billable_metric_key], args, options);
  }

  /** List an asset's past periods. `GET /v1/customers/{customer_id}/assets/{billable_metric_key}/history` */
  listHistory(billable_metric_key: string, args: CustomerReference & AssetsListHistoryQuery, options?: CallOptions): Pages<AssetPeriod> {
    return this.pages({ method: "GET", path: "/v1/customers/{customer_id}/assets/{billable_metric_key}/history" }, [billable_metric_key], args, options);
  }

  /** Suspend an asset. `POST /v1/customers/{customer_id}/assets/{billable_metric_key}/suspend` */
  suspend(billable_metric_key: string, args: CustomerReference & EmptyRequest, options?: CallOptions): Promise<AssetView> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/assets/{billable_metric_key}/suspend", keyed: true }, [billable_metric_key], args, options);
  }

  /** Resume an asset. `POST /v1/customers/{customer_id}/assets/{billable_metric_key}/resume` */
  resume(billable_metric_key: string, args: CustomerReference & EmptyRequest, options?: CallOptions): Promise<AssetView> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/assets/{billable_metric_key}/resume", keyed: true }, [billable_metric_key], args, options);
  }

  /** Grant credits to the account that the metric draws from. `POST /v1/customers/{customer_id}/assets/{billable_metric_key}/topup` */
  topup(billable_metric_key: string, args: CustomerReference & AssetTopup, options?: CallOptions): Promise<GrantAnswer> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/assets/{billable_metric_key}/topup", keyed: true }, [billable_metric_key], args, options);
  }

  /** Withdraw credits from the account that the metric draws from. `POST /v1/customers/{customer_id}/assets/{billable_metric_key}/withdraw` */
  withdraw(billable_metric_key: string, args: CustomerReference & AssetWithdrawal, options?: CallOptions): Promise<DebitAnswer> {
    return this.call({ method: "POST", path: "/v1/customers/{customer_id}/assets/{billable_metric_key}/withdraw", keyed: true }, [billable_metric_key], args, options);
  }
}

export class Plans extends Resource {
  /** Create a plan. `POST /v1/plans` */
  create(args: PlanBody, options?: CallOptions): Promise<PlanView> {
    return this.call({ method: "POST", path: "/v1/plans", keyed: true }, [], args, options);
  }

  /** List plans. `GET /v1/plans` */
  list(args?: PlansListQuery, options?: CallOptions): Pages<PlanView> {
    return this.pages({ method: "GET", path: "/v1/plans" }, [], args, options);
  }

  /** Read a plan. `GET /v1/plans/{id}` */
  get(id: string, options?: CallOptions): Promise<PlanView> {
    return this.call({ method: "GET", path: "/v1/plans/{id}" }, [id], undefined, options);
  }

  /** Change or archive a plan. `PATCH /v1/plans/{id}` */
  update(id: string, args?: PlanPatch, options?: CallOptions): Promise<PlanView> {
    return this.call({ method: "PATCH", path: "/v1/plans/{id}", keyed: true }, [id], args, options);
  }

  /** Create a variant of a plan. `POST /v1/plans/{id}/variants` */
  createVariant(id: string, args: VariantBody, options?: CallOptions): Promise<VariantView> {
    return this.call({ method: "POST", path: "/v1/plans/{id}/variants", keyed: true }, [id], args, options);
  }

  /** List the variants of a plan. `GET /v1/plans/{id}/variants` */
  listVariants(id: string, args?: PlansListVariantsQuery, options?: CallOptions): Pages<VariantView> {
    return this.pages({ method: "GET", path: "/v1/plans/{id}/variants" }, [id], args, options);
  }

  /** Read a variant, also in an earlier version. `GET /v1/plans/{id}/variants/{vid}` */
  getVariant(id: string, vid: string, args?: PlansGetVariantQuery, options?: CallOptions): Promise<VariantView> {
    return this.call({ method: "GET", path: "/v1/plans/{id}/variants/{vid}" }, [id, vid], args, options);
  }

  /** Change or archive a variant. `PATCH /v1/plans/{id}/variants/{vid}` */
  updateVariant(id: string, vid: string, args?: VariantPatch, options?: CallOptions): Promise<VariantView> {
    return this.call({ method: "PATCH", path: "/v1/plans/{id}/variants/{vid}", keyed: true }, [id, vid], args, options);
  }

  /** Add a credit grant template. `POST /v1/plans/{id}/variants/{vid}/credit-grants` */
  createCreditGrant(id: string, vid: string, args: TemplateBody, options?: CallOptions): Promise<TemplateView> {
    return this.call({ method: "POST", path: "/v1/plans/{id}/variants/{vid}/credit-grants", keyed: true }, [id, vid], args, options);
  }

  /** List the credit grant templates of a variant. `GET /v1/plans/{id}/variants/{vid}/credit-grants` */
  listCreditGrants(id: string, vid: string, args?: PlansListCreditGrantsQuery, options?: CallOptions): Pages<TemplateView> {
    return this.pages({ method: "GET", path: "/v1/plans/{id}/variants/{vid}/credit-grants" }, [id, vid], args, options);
  }

  /** Read a credit grant template. `GET /v1/plans/{id}/variants/{vid}/credit-grants/{gid}` */
  getCreditGrant(id: string, vid: string, gid: string, options?: CallOptions): Promise<TemplateView> {
    return this.call({ method: "GET", path: "/v1/plans/{id}/variants/{vid}/credit-grants/{gid}" }, [id, vid, gid], undefined, options);
  }

  /** Delete a credit grant template. `DELETE /v1/plans/{id}/variants/{vid}/credit-grants/{gid}` */
  deleteCreditGrant(id: string, vid: string, gid: string, options?: CallOptions): Promise<void> {
    return this.call({ method: "DELETE", path: "/v1/plans/{id}/variants/{vid}/credit-grants/{gid}", keyed: true }, [id, vid, gid], undefined, options);
  }

  /** Give a metric a value in a variant. `POST /v1/plans/{id}/variants/{vid}/entitlements` */
  createEntitlement(id: string, vid: string, args: EntitlementBody, options?: CallOptions): Promise<EntitlementView> {
    return this.call({ method: "POST", path: "/v1/plans/{id}/variants/{vid}/entitlements", keyed: true }, [id, vid], args, options);
  }

  /** List the entitlements of a variant. `GET /v1/plans/{id}/variants/{vid}/entitlements` */
  listEntitlements(id: string, vid: string, args?: PlansListEntitlementsQuery, options?: CallOptions): Pages<EntitlementView> {
    return this.pages({ method: "GET", path: "/v1/plans/{id}/variants/{vid}/entitlements" }, [id, vid], args, options);
  }

  /** Read an entitlement of a variant. `GET /v1/plans/{id}/variants/{vid}/entitlements/{metric}` */
  getEntitlement(id: string, vid: string, metric: string, options?: CallOptions): Promise<EntitlementView> {
    return this.call({ method: "GET", path: "/v1/plans/{id}/variants/{vid}/entitlements/{metric}" }, [id, vid, metric], undefined, options);
  }

  /** Change an entitlement of a variant. `PATCH /v1/plans/{id}/variants/{vid}/entitlements/{metric}` */
  updateEntitlement(id: string, vid: string, metric: string, args: EntitlementPatch, options?: CallOptions): Promise<EntitlementView> {
    return this.call({ method: "PATCH", path: "/v1/plans/{id}/variants/{vid}/entitlements/{metric}", keyed: true }, [id, vid, metric], args, options);
  }

  /** Take a metric out of a variant. `DELETE /v1/plans/{id}/variants/{vid}/entitlements/{metric}` */
  deleteEntitlement(id: string, vid: string, metric: string, options?: CallOptions): Promise<void> {
    return this.call({ method: "DELETE", path: "/v1/plans/{id}/variants/{vid}/entitlements/{metric}", keyed: true }, [id, vid, metric], undefined, options);
  }
}

export class Subscriptions extends Resource {
  /** Subscribe a customer to a plan variant. `POST /v1/subscriptions` */
  create(args: SubscriptionBody, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "POST", path: "/v1/subscriptions", keyed: true }, [], args, options);
  }

  /** List subscriptions. `GET /v1/subscriptions` */
  list(args?: SubscriptionsListQuery, options?: CallOptions): Pages<SubscriptionView> {
    return this.pages({ method: "GET", path: "/v1/subscriptions" }, [], args, options);
  }

  /** Read a subscription. `GET /v1/subscriptions/{id}` */
  get(id: string, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "GET", path: "/v1/subscriptions/{id}" }, [id], undefined, options);
  }

  /** Change a subscription's metadata, or pin its version. `PATCH /v1/subscriptions/{id}` */
  update(id: string, args?: SubscriptionPatch, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "PATCH", path: "/v1/subscriptions/{id}", keyed: true }, [id], args, options);
  }

  /** Report the payment of one period. `POST /v1/subscriptions/{id}/renew` */
  renew(id: string, args?: TriggerBody, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "POST", path: "/v1/subscriptions/{id}/renew", keyed: true }, [id], args, options);
  }

  /** Let a subscription stand still. `POST /v1/subscriptions/{id}/pause` */
  pause(id: string, args?: PauseBody, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "POST", path: "/v1/subscriptions/{id}/pause", keyed: true }, [id], args, options);
  }

  /** Let a paused subscription run on. `POST /v1/subscriptions/{id}/resume` */
  resume(id: string, args?: TriggerBody, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "POST", path: "/v1/subscriptions/{id}/resume", keyed: true }, [id], args, options);
  }

  /** End a subscription now or with its period. `POST /v1/subscriptions/{id}/cancel` */
  cancel(id: string, args?: CancelBody, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "POST", path: "/v1/subscriptions/{id}/cancel", keyed: true }, [id], args, options);
  }

  /** Take a scheduled end back, or start an ended subscription again. `POST /v1/subscriptions/{id}/reactivate` */
  reactivate(id: string, args?: TriggerBody, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "POST", path: "/v1/subscriptions/{id}/reactivate", keyed: true }, [id], args, options);
  }

  /** Move a subscription to another variant. `POST /v1/subscriptions/{id}/change-plan` */
  changePlan(id: string, args: ChangePlanBody, options?: CallOptions): Promise<SubscriptionView> {
    return this.call({ method: "POST", path: "/v1/subscriptions/{id}/change-plan", keyed: true }, [id], args, options);
  }

  /** Read what a subscription went through and what lies ahead. `GET /v1/subscriptions/{id}/timeline` */
  timeline(id: string, options?: CallOptions): Promise<TimelineView> {
    return this.call({ method: "GET", path: "/v1/subscriptions/{id}/timeline" }, [id], undefined, options);
  }
}

export class Webhooks extends Resource {
  /** Create a webhook endpoint. `POST /v1/webhooks/endpoints` */
  createEndpoint(args: CreateEndpoint, options?: CallOptions): Promise<EndpointWithSecret> {
    return this.call({ method: "POST", path: "/v1/webhooks/endpoints", keyed: true }, [], args, options);
  }

  /** List webhook endpoints. `GET /v1/webhooks/endpoints` */
  listEndpoints(options?: CallOptions): Promise<Endpoints> {
    return this.call({ method: "GET", path: "/v1/webhooks/endpoints" }, [], undefined, options);
  }

  /** Read a webhook endpoint. `GET /v1/webhooks/endpoints/{id}` */
  getEndpoint(id: string, options?: CallOptions): Promise<Endpoint> {
    return this.call({ method: "GET", path: "/v1/webhooks/endpoints/{id}" }, [id], undefined, options);
  }

  /** Change a webhook endpoint. `PATCH /v1/webhooks/endpoints/{id}` */
  updateEndpoint(id: string, args?: PatchEndpoint, options?: CallOptions): Promise<Endpoint> {
    return this.call({ method: "PATCH", path: "/v1/webhooks/endpoints/{id}", keyed: true }, [id], args, options);
  }

  /** Delete a webhook endpoint. `DELETE /v1/webhooks/endpoints/{id}` */
  deleteEndpoint(id: string, options?: CallOptions): Promise<void> {
    return this.call({ method: "DELETE", path: "/v1/webhooks/endpoints/{id}", keyed: true }, [id], undefined, options);
  }

  /** Rotate an endpoint's secret. `POST /v1/webhooks/endpoints/{id}/rotate-secret` */
  rotateSecret(id: string, args?: RotateSecret, options?: CallOptions): Promise<EndpointWithSecret> {
    return this.call({ method: "POST", path: "/v1/webhooks/endpoints/{id}/rotate-secret", keyed: true }, [id], args, options);
  }

  /** Send a sample to an endpoint. `POST /v1/webhooks/endpoints/{id}/test` */
  sendTest(id: string, args?: SendTest, options?: CallOptions): Promise<Delivery> {
    return this.call({ method: "POST", path: "/v1/webhooks/endpoints/{id}/test", keyed: true }, [id], args, options);
  }

  /** Send the events of a span again. `POST /v1/webhooks/endpoints/{id}/replay` */
  replay(id: string, args: Replay, options?: CallOptions): Promise<ReplayAnswer> {
    return this.call({ method: "POST", path: "/v1/webhooks/endpoints/{id}/replay", keyed: true }, [id], args, options);
  }

  /** List the types of events. `GET /v1/webhooks/event-types` */
  listEventTypes(options?: CallOptions): Promise<EventTypes> {
    return this.call({ method: "GET", path: "/v1/webhooks/event-types" }, [], undefined, options);
  }

  /** List deliveries. `GET /v1/webhooks/deliveries` */
  listDeliveries(args?: WebhooksListDeliveriesQuery, options?: CallOptions): Pages<Delivery> {
    return this.pages({ method: "GET", path: "/v1/webhooks/deliveries" }, [], args, options);
  }

  /** Read a delivery. `GET /v1/webhooks/deliveries/{id}` */
  getDelivery(id: string, options?: CallOptions): Promise<Delivery> {
    return this.call({ method: "GET", path: "/v1/webhooks/deliveries/{id}" }, [id], undefined, options);
  }

  /** Send a delivery again. `POST /v1/webhooks/deliveries/{id}/redeliver` */
  redeliver(id: string, args?: EmptyRequest, options?: CallOptions): Promise<Delivery> {
    return this.call({ method: "POST", path: "/v1/webhooks/deliveries/{id}/redeliver", keyed: true }, [id], args, options);
  }

  /** Give up the delivery that its lane waits for. `POST /v1/webhooks/deliveries/{id}/skip` */
  skipDelivery(id: string, args?: EmptyRequest, options?: CallOptions): Promise<Delivery> {
    return this.call({ method: "POST", path: "/v1/webhooks/deliveries/{id}/skip", keyed: true }, [id], args, options);
  }

  /** Listen to a test environment's events. `POST /v1/webhooks/listeners` */
  createListener(args?: CreateListener, options?: CallOptions): Promise<Listener> {
    return this.call({ method: "POST", path: "/v1/webhooks/listeners", keyed: true }, [], args, options);
  }

  /** Fetch what waits for a listener. `POST /v1/webhooks/listeners/{id}/pull` */
  pull(id: string, args?: Pull, options?: CallOptions): Promise<PulledDeliveries> {
    return this.call({ method: "POST", path: "/v1/webhooks/listeners/{id}/pull", keyed: true }, [id], args, options);
  }

  /** Send a sample to all that want its type. `POST /v1/webhooks/trigger` */
  trigger(args: TriggerEvent, options?: CallOptions): Promise<TriggerAnswer> {
    return this.call({ method: "POST", path: "/v1/webhooks/trigger", keyed: true }, [], args, options);
  }
}

export class Events extends Resource {
  /** List events. `GET /v1/events` */
  list(args?: EventsListQuery, options?: CallOptions): Pages<Envelope> {
    return this.pages({ method: "GET", path: "/v1/events" }, [], args, options);
  }

  /** Read an event. `GET /v1/events/{id}` */
  get(id: string, options?: CallOptions): Promise<Envelope> {
    return this.call({ method: "GET", path: "/v1/events/{id}" }, [id], undefined, options);
  }
}

export class TestClock extends Resource {
  /** Read the test clock. `GET /v1/test-clock` */
  get(options?: CallOptions): Promise<ClockView> {
    return this.call({ method: "GET", path: "/v1/test-clock" }, [], undefined, options);
  }

  /** Freeze the test clock. `POST /v1/test-clock` */
  freeze(args: FreezeBody, options?: CallOptions): Promise<ClockView> {
    return this.call({ method: "POST", path: "/v1/test-clock", keyed: true }, [], args, options);
  }

  /** Advance the test clock. `POST /v1/test-clock/advance` */
  advance(args?: AdvanceBody, options?: CallOptions): Promise<ClockView> {
    return this.call({ method: "POST", path: "/v1/test-clock/advance", keyed: true }, [], args, options);
  }

  /** Let the test clock run on. `POST /v1/test-clock/release` */
  release(args?: EmptyBody, options?: CallOptions): Promise<ClockView> {
    return this.call({ method: "POST", path: "/v1/test-clock/release", keyed: true }, [], args, options);
  }

  /** Start over with an empty test environment. `POST /v1/test/reset` */
  reset(args?: EmptyBody, options?: CallOptions): Promise<ResetView> {
    return this.call({ method: "POST", path: "/v1/test/reset", keyed: true }, [], args, options);
  }
}

export class Ledger extends Resource {
  /** Verify the ledger. `GET /v1/ledger/verify` */
  verify(args?: LedgerVerifyQuery, options?: CallOptions): Promise<Verification> {
    return this.call({ method: "GET", path: "/v1/ledger/verify" }, [], args, options);
  }
}

export class Analytics extends Resource {
  /** Report the liability by month. `GET /v1/analytics/liability` */
  liability(args?: AnalyticsLiabilityQuery, options?: CallOptions): Promise<LiabilityReport> {
    return this.call({ method: "GET", path: "/v1/analytics/liability" }, [], args, options);
  }
}

export class AuditLog extends Resource {
  /** List changes of catalog, settings and keys. `GET /v1/audit-log` */
  list(args?: AuditLogListQuery, options?: CallOptions): Pages<AuditEntry> {
    return this.pages({ method: "GET", path: "/v1/audit-log" }, [], args, options);
  }
}

export class Tenants extends Resource {
  /** Read the settings of the environment. `GET /v1/tenants/{id}/config` */
  getConfig(id: string, options?: CallOptions): Promise<TenantConfig> {
    return this.call({ method: "GET", path: "/v1/tenants/{id}/config" }, [id], undefined, options);
  }

  /** Change settings of the environment. `PATCH /v1/tenants/{id}/config` */
  updateConfig(id: string, args?: TenantConfigPatch, options?: CallOptions): Promise<TenantConfig> {
    return this.call({ method: "PATCH", path: "/v1/tenants/{id}/config", keyed: true }, [id], args, options);
  }
}

export class ApiKeys extends Resource {
  /** Create an API key. `POST /v1/admin/api-keys` */
  create(args?: CreateApiKey, options?: CallOptions): Promise<NewApiKey> {
    return this.call({ method: "POST", path: "/v1/admin/api-keys", keyed: true }, [], args, options);
  }

  /** List API keys. `GET /v1/admin/api-keys` */
  list(args?: ApiKeysListQuery, options?: CallOptions): Pages<ApiKey> {
    return this.pages({ method: "GET", path: "/v1/admin/api-keys" }, [], args, options);
  }

  /** Revoke an API key. `POST /v1/admin/api-keys/{id}/revoke` */
  revoke(id: string, args?: EmptyRequest, options?: CallOptions): Promise<ApiKey> {
    return this.call({ method: "POST", path: "/v1/admin/api-keys/{id}/revoke", keyed: true }, [id], args, options);
  }
}

export class Integrations extends Resource {
  /** Take an event of Stripe. `POST /v1/integrations/stripe/webhook/{environment_id}` */
  sendStripeEvent(environment_id: string, event: { body: string | Uint8Array<ArrayBuffer>; signature: string }, options?: CallOptions): Promise<StripeResult> {
    const headers = { ...options?.headers, "Stripe-Signature": event.signature };
    const route = { method: "POST", path: "/v1/integrations/stripe/webhook/{environment_id}" };
    return this.call(route, [environment_id], event.body, { ...options, headers });
  }
}

/** Every resource of a client. */
export abstract class Resources {
  readonly server: Server;
  readonly customers: Customers;
  readonly credits: Credits;
  readonly topups: Topups;
  readonly packages: Packages;
  readonly metrics: Metrics;
  readonly rules: Rules;
  readonly usage: Usage;
  readonly entitlements: Entitlements;
  readonly reservations: Reservations;
  readonly assets: Assets;
  readonly plans: Plans;
  readonly subscriptions: Subscriptions;
  readonly webhooks: Webhooks;
  readonly events: Events;
  readonly testClock: TestClock;
  readonly ledger: Ledger;
  readonly analytics: Analytics;
  readonly auditLog: AuditLog;
  readonly tenants: Tenants;
  readonly apiKeys: ApiKeys;
  readonly integrations: Integrations;

  constructor(transport: Transport) {
    this.server = new Server(transport);
    this.customers = new Customers(transport);
    this.credits = new Credits(transport);
    this.topups = new Topups(transport);
    this.packages = new Packages(transport);
    this.metrics = new Metrics(transport);
    this.rules = new Rules(transport);
    this.usage = new Usage(transport);
    this.entitlements = new Entitlements(transport);
    this.reservations = new Reservations(transport);
    this.assets = new Assets(transport);
    this.plans = new Plans(transport);
    this.subscriptions = new Subscriptions(transport);
    this.webhooks = new Webhooks(transport);
    this.events = new Events(transport);
    this.testClock = new TestClock(transport);
    this.ledger = new Ledger(transport);
    this.analytics = new Analytics(transport);
    this.auditLog = new AuditLog(transport);
    this.tenants = new Tenants(transport);
    this.apiKeys = new ApiKeys(transport);
    this.integrations = new Integrations(transport);
  }
}
