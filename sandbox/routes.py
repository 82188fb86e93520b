"""Every call of Metronome's API and what answers it: the whole table, in one place.

A path that is not listed here at all is 404.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metronome.types import v1, v2
from metronome.types.v1 import contracts as contract_types
from metronome.types.v1 import customers as customer_types
from metronome.types.v1.contracts import rate_cards as rate_types
from metronome.types.v2 import notifications as notification_types

from sandbox import (
    alerts,
    balances,
    catalog,
    contract_views,
    contracts,
    customers,
    edits,
    fields,
    invoice_views,
    invoices,
    notifications,
    page,
    ratecards,
    thresholds,
    usage,
    usage_previews,
)
from sandbox.wire import Request
from sandbox.world import World

Handler = Callable[[World, Request], Any]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler | None = None
    params: type | None = None  # the SDK's type of the body


SUPPORTED: tuple[Route, ...] = (
    # Customers
    Route("POST", "/v1/customers", customers.create, v1.CustomerCreateParams),
    Route("GET", "/v1/customers", customers.list_),
    Route("POST", "/v1/customers/archive", customers.archive, v1.CustomerArchiveParams),
    Route("GET", "/v1/customers/{customer_id}", customers.retrieve),
    Route(
        "POST",
        "/v1/customers/{customer_id}/setIngestAliases",
        customers.set_ingest_aliases,
        v1.CustomerSetIngestAliasesParams,
    ),
    Route(
        "POST", "/v1/customers/{customer_id}/setName", customers.set_name, v1.CustomerSetNameParams
    ),
    Route(
        "POST",
        "/v1/customers/{customer_id}/updateConfig",
        customers.update_config,
        v1.CustomerUpdateConfigParams,
    ),
    Route(
        "POST",
        "/v1/customers/{customer_id}/previewEvents",
        usage_previews.preview,
        v1.CustomerPreviewEventsParams,
    ),
    Route("GET", "/v1/customers/{customer_id}/billable-metrics", customers.list_metrics),
    Route(
        "POST",
        "/v1/setCustomerBillingProviderConfigurations",
        customers.set_configurations,
        v1.CustomerSetBillingConfigurationsParams,
    ),
    Route(
        "POST",
        "/v1/getCustomerBillingProviderConfigurations",
        customers.get_configurations,
        v1.CustomerRetrieveBillingConfigurationsParams,
    ),
    Route(
        "POST",
        "/v1/archiveCustomerBillingProviderConfigurations",
        customers.archive_configurations,
        v1.CustomerArchiveBillingConfigurationsParams,
    ),
    # Pricing units, metrics, products
    Route("GET", "/v1/credit-types/list", catalog.list_units),
    Route("POST", "/v1/credit-types/create", catalog.create_unit, v1.PricingUnitCreateParams),
    Route("POST", "/v1/credit-types/archive", catalog.archive_unit, v1.PricingUnitArchiveParams),
    Route(
        "POST", "/v1/billable-metrics/create", catalog.create_metric, v1.BillableMetricCreateParams
    ),
    Route("GET", "/v1/billable-metrics", catalog.list_metrics),
    Route(
        "POST",
        "/v1/billable-metrics/archive",
        catalog.archive_metric,
        v1.BillableMetricArchiveParams,
    ),
    Route("GET", "/v1/billable-metrics/{billable_metric_id}", catalog.retrieve_metric),
    Route(
        "PUT",
        "/v1/billable-metrics/{billable_metric_id}",
        catalog.update_metric,
        v1.BillableMetricUpdateParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/products/create",
        catalog.create_product,
        contract_types.ProductCreateParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/products/get",
        catalog.retrieve_product,
        contract_types.ProductRetrieveParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/products/list",
        catalog.list_products,
        contract_types.ProductListParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/products/update",
        catalog.update_product,
        contract_types.ProductUpdateParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/products/archive",
        catalog.archive_product,
        contract_types.ProductArchiveParams,
    ),
    # Rate cards
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/create",
        ratecards.create,
        contract_types.RateCardCreateParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/get",
        ratecards.retrieve,
        contract_types.RateCardRetrieveParams,
    ),
    Route("POST", "/v1/contract-pricing/rate-cards/list", ratecards.list_),
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/update",
        ratecards.update,
        contract_types.RateCardUpdateParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/archive",
        ratecards.archive,
        contract_types.RateCardArchiveParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/addRate",
        ratecards.add_rate,
        rate_types.RateAddParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/addRates",
        ratecards.add_rates,
        rate_types.RateAddManyParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/getRates",
        ratecards.get_rates,
        rate_types.RateListParams,
    ),
    Route(
        "POST",
        "/v1/contract-pricing/rate-cards/getRateSchedule",
        ratecards.get_rate_schedule,
        contract_types.RateCardRetrieveRateScheduleParams,
    ),
    # Contracts
    Route("POST", "/v1/contracts/create", contracts.create, v1.ContractCreateParams),
    Route("POST", "/v1/contracts/get", contract_views.retrieve_v1, v1.ContractRetrieveParams),
    Route("POST", "/v1/contracts/list", contract_views.list_v1, v1.ContractListParams),
    Route(
        "POST",
        "/v1/contracts/updateEndDate",
        contracts.update_end_date,
        v1.ContractUpdateEndDateParams,
    ),
    Route("POST", "/v1/contracts/archive", contracts.archive, v1.ContractArchiveParams),
    Route(
        "POST",
        "/v1/contracts/getContractRateSchedule",
        contract_views.rate_schedule,
        v1.ContractRetrieveRateScheduleParams,
    ),
    Route("POST", "/v2/contracts/get", contract_views.retrieve_v2, v2.ContractRetrieveParams),
    Route("POST", "/v2/contracts/list", contract_views.list_v2, v2.ContractListParams),
    Route("POST", "/v2/contracts/edit", edits.edit, v2.ContractEditParams),
    Route("POST", "/v2/contracts/getEditHistory", edits.history, v2.ContractGetEditHistoryParams),
    Route("POST", "/v2/contracts/commits/edit", balances.edit_commit, v2.ContractEditCommitParams),
    Route("POST", "/v2/contracts/credits/edit", balances.edit_credit, v2.ContractEditCreditParams),
    Route("POST", "/v2/contracts/commits/archive", balances.archive_commit),
    Route("POST", "/v2/contracts/credits/archive", balances.archive_credit),
    # Balances, commits and credits
    Route(
        "POST",
        "/v1/contracts/customerBalances/list",
        balances.list_balances,
        v1.ContractListBalancesParams,
    ),
    Route(
        "POST",
        "/v1/contracts/customerBalances/getNetBalance",
        balances.get_net_balance,
        v1.ContractGetNetBalanceParams,
    ),
    Route(
        "POST",
        "/v1/contracts/addManualBalanceLedgerEntry",
        balances.add_manual_entry,
        v1.ContractAddManualBalanceEntryParams,
    ),
    Route(
        "POST",
        "/v1/contracts/customerCommits/create",
        balances.create_commit,
        customer_types.CommitCreateParams,
    ),
    Route(
        "POST",
        "/v1/contracts/customerCommits/list",
        balances.list_commits,
        customer_types.CommitListParams,
    ),
    Route(
        "POST",
        "/v1/contracts/customerCommits/updateEndDate",
        balances.end_commit,
        customer_types.CommitUpdateEndDateParams,
    ),
    Route(
        "POST",
        "/v1/contracts/customerCredits/create",
        balances.create_credit,
        customer_types.CreditCreateParams,
    ),
    Route(
        "POST",
        "/v1/contracts/customerCredits/list",
        balances.list_credits,
        customer_types.CreditListParams,
    ),
    Route(
        "POST",
        "/v1/contracts/customerCredits/updateEndDate",
        balances.end_credit,
        customer_types.CreditUpdateEndDateParams,
    ),
    Route("POST", "/v1/contracts/commits/threshold-billing/release", thresholds.release),
    # Usage
    Route("POST", "/v1/ingest", usage.ingest),
    Route("POST", "/v1/usage", usage.list_, v1.UsageListParams),
    Route("POST", "/v1/usage/groups", usage.list_with_groups, v1.UsageListWithGroupsParams),
    Route("POST", "/v1/events/search", usage.search, v1.UsageSearchParams),
    # Invoices
    Route("GET", "/v1/customers/{customer_id}/invoices", invoice_views.list_),
    Route("GET", "/v1/customers/{customer_id}/invoices/{invoice_id}", invoice_views.retrieve),
    Route(
        "GET", "/v1/customers/{customer_id}/invoices/{invoice_id}/pdf", invoice_views.retrieve_pdf
    ),
    Route("POST", "/v1/invoices/void", invoices.void, v1.InvoiceVoidParams),
    Route("POST", "/v1/invoices/regenerate", invoices.regenerate, v1.InvoiceRegenerateParams),
    # Alerts and notifications
    Route("POST", "/v1/alerts/create", alerts.create, v1.AlertCreateParams),
    Route("POST", "/v1/alerts/archive", alerts.archive, v1.AlertArchiveParams),
    Route(
        "POST", "/v1/customer-alerts/list", alerts.list_for_customer, customer_types.AlertListParams
    ),
    Route(
        "POST",
        "/v1/customer-alerts/get",
        alerts.get_for_customer,
        customer_types.AlertRetrieveParams,
    ),
    Route(
        "POST",
        "/v1/customer-alerts/reset",
        alerts.reset_for_customer,
        customer_types.AlertResetParams,
    ),
    Route(
        "POST",
        "/v2/notifications/create",
        notifications.create,
        notification_types.OffsetCreateParams,
    ),
    Route(
        "POST",
        "/v2/notifications/get",
        notifications.retrieve,
        notification_types.OffsetRetrieveParams,
    ),
    Route("POST", "/v2/notifications/edit", notifications.edit),
    Route(
        "POST",
        "/v2/notifications/archive",
        notifications.archive,
        notification_types.OffsetArchiveParams,
    ),
    Route(
        "POST",
        "/v2/notifications/offset/list",
        notifications.list_offsets,
        notification_types.OffsetListParams,
    ),
    Route("POST", "/v2/notifications/system/list", notifications.list_system),
    # Custom fields
    Route("POST", "/v1/customFields/addKey", fields.add_key, v1.CustomFieldAddKeyParams),
    Route("POST", "/v1/customFields/removeKey", fields.remove_key, v1.CustomFieldRemoveKeyParams),
    Route("POST", "/v1/customFields/listKeys", fields.list_keys, v1.CustomFieldListKeysParams),
    Route("POST", "/v1/customFields/setValues", fields.set_values, v1.CustomFieldSetValuesParams),
    Route(
        "POST",
        "/v1/customFields/deleteValues",
        fields.delete_values,
        v1.CustomFieldDeleteValuesParams,
    ),
    # Dashboards and services
    Route(
        "POST",
        "/v1/dashboards/getEmbeddableUrl",
        page.embeddable_url,
        v1.DashboardGetEmbeddableURLParams,
    ),
    Route("GET", "/v1/services", page.services),
)

# Published by Metronome, not done here: answered with 501.
UNSUPPORTED = (
    "POST /v1/approval_requests/submit",
    "POST /v1/archiveCustomerRevenueSystemConfigurations",
    "GET /v1/auditLogs",
    "POST /v1/billable-metrics",
    "DELETE /v1/client/billing-config/stripe",
    "POST /v1/client/billing-config/stripe",
    "POST /v1/client/billing-config/{billing_provider_type}/apiKey",
    "POST /v1/client/config/webhook_secret",
    "POST /v1/composite/createCustomerWithContract",
    "POST /v1/contract-pricing/rate-cards/getNamedSchedule",
    "POST /v1/contract-pricing/rate-cards/moveRateCardProducts",
    "POST /v1/contract-pricing/rate-cards/setRateCardProductsOrder",
    "POST /v1/contract-pricing/rate-cards/updateNamedSchedule",
    "POST /v1/contracts/amend",
    "POST /v1/contracts/commits/disableTrueup",
    "POST /v1/contracts/createHistoricalInvoices",
    "POST /v1/contracts/getNamedSchedule",
    "POST /v1/contracts/getSubscriptionQuantityHistory",
    "POST /v1/contracts/getSubscriptionSeatsHistory",
    "POST /v1/contracts/listNamedSchedules",
    "POST /v1/contracts/scheduleProServicesInvoice",
    "POST /v1/contracts/seatBalances/list",
    "POST /v1/contracts/setUsageFilter",
    "POST /v1/contracts/updateInvoiceIssueDate",
    "POST /v1/contracts/updateNamedSchedule",
    "POST /v1/credits/createGrant",
    "POST /v1/credits/editGrant",
    "POST /v1/credits/listEntries",
    "POST /v1/credits/listGrants",
    "POST /v1/credits/voidGrant",
    "POST /v1/customers/getNamedSchedule",
    "POST /v1/customers/setBillableStatus",
    "POST /v1/customers/updateNamedSchedule",
    "POST /v1/customers/{customer_id}/addCharge",
    "DELETE /v1/customers/{customer_id}/billing-config/{billing_provider_type}",
    "GET /v1/customers/{customer_id}/billing-config/{billing_provider_type}",
    "POST /v1/customers/{customer_id}/billing-config/{billing_provider_type}",
    "GET /v1/customers/{customer_id}/costs",
    "GET /v1/customers/{customer_id}/invoices/breakdowns",
    "POST /v1/customers/{customer_id}/invoices/invoice_seats",
    "POST /v1/customers/{customer_id}/invoices/spend-breakdowns",
    "GET /v1/customers/{customer_id}/plans",
    "POST /v1/customers/{customer_id}/plans/add",
    "POST /v1/customers/{customer_id}/plans/{customer_plan_id}/end",
    "GET /v1/customers/{customer_id}/plans/{customer_plan_id}/priceAdjustments",
    "GET /v1/customers/{customer_id}/purchasedSeats",
    "POST /v1/getCustomerRevenueSystemConfigurations",
    "POST /v1/integrations/log",
    "POST /v1/listConfiguredBillingProviders",
    "POST /v1/packages/archive",
    "POST /v1/packages/create",
    "POST /v1/packages/get",
    "POST /v1/packages/list",
    "POST /v1/packages/listContractsOnPackage",
    "GET /v1/planDetails/{plan_id}",
    "GET /v1/planDetails/{plan_id}/charges",
    "GET /v1/planDetails/{plan_id}/customers",
    "GET /v1/plans",
    "POST /v1/rotateDeltaStreamSecret",
    "POST /v1/setCustomerRevenueSystemConfigurations",
    "POST /v1/setUpBillingProvider",
    "POST /v1/threshold-billing/update-active-recharge-config",
    "POST /v1/upsertAnrokApiToken",
    "POST /v1/upsertAvalaraCredentials",
    "POST /v1/usage/seats",
)

ROUTES = SUPPORTED + tuple(
    Route(method, path) for method, _, path in (call.partition(" ") for call in UNSUPPORTED)
)
