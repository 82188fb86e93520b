"""Every call of Metronome's API and what answers it: the whole table, in one place.

A path that is not listed here at all is 404.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metronome_sandbox import (
    alerts,
    balances,
    billing_providers,
    breakdowns,
    catalog,
    contract_views,
    contracts,
    customers,
    edits,
    fields,
    invoice_views,
    invoices,
    notifications,
    package_views,
    packages,
    page,
    params,
    ratecards,
    thresholds,
    usage,
    usage_previews,
)
from metronome_sandbox.not_emulated import NOT_EMULATED
from metronome_sandbox.params import (
    contract_types,
    customer_types,
    notification_types,
    rate_types,
    v1,
    v2,
)
from metronome_sandbox.shapes import Shape
from metronome_sandbox.wire import Request
from metronome_sandbox.world import World

Handler = Callable[[World, Request], Any]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler | None = None
    params: Shape | None = None  # of what is sent, in body and query
    instead: str = ""  # of a call without a handler: what to use


def get(path: str, handler: Handler, params: Shape) -> Route:
    return Route("GET", path, handler, params)


def post(path: str, handler: Handler, params: Shape | None = None) -> Route:
    return Route("POST", path, handler, params)


def put(path: str, handler: Handler, params: Shape) -> Route:
    return Route("PUT", path, handler, params)


EMULATED: tuple[Route, ...] = (
    # Customers
    post("/v1/customers", customers.create, v1.CustomerCreateParams),
    get("/v1/customers", customers.list_, v1.CustomerListParams),
    post("/v1/customers/archive", customers.archive, v1.CustomerArchiveParams),
    get("/v1/customers/{customer_id}", customers.retrieve, params.Nothing),
    post(
        "/v1/customers/{customer_id}/setIngestAliases",
        customers.set_ingest_aliases,
        v1.CustomerSetIngestAliasesParams,
    ),
    post("/v1/customers/{customer_id}/setName", customers.set_name, v1.CustomerSetNameParams),
    post(
        "/v1/customers/{customer_id}/updateConfig",
        customers.update_config,
        v1.CustomerUpdateConfigParams,
    ),
    post(
        "/v1/customers/{customer_id}/previewEvents",
        usage_previews.preview,
        v1.CustomerPreviewEventsParams,
    ),
    get(
        "/v1/customers/{customer_id}/billable-metrics",
        customers.list_metrics,
        v1.CustomerListBillableMetricsParams,
    ),
    post(
        "/v1/setCustomerBillingProviderConfigurations",
        billing_providers.set_configurations,
        v1.CustomerSetBillingConfigurationsParams,
    ),
    post(
        "/v1/getCustomerBillingProviderConfigurations",
        billing_providers.get_configurations,
        v1.CustomerRetrieveBillingConfigurationsParams,
    ),
    post(
        "/v1/archiveCustomerBillingProviderConfigurations",
        billing_providers.archive_configurations,
        v1.CustomerArchiveBillingConfigurationsParams,
    ),
    # Pricing units, metrics, products
    get("/v1/credit-types/list", catalog.list_units, v1.PricingUnitListParams),
    post("/v1/credit-types/create", catalog.create_unit, v1.PricingUnitCreateParams),
    post("/v1/credit-types/archive", catalog.archive_unit, v1.PricingUnitArchiveParams),
    post("/v1/billable-metrics/create", catalog.create_metric, v1.BillableMetricCreateParams),
    get("/v1/billable-metrics", catalog.list_metrics, v1.BillableMetricListParams),
    post("/v1/billable-metrics/archive", catalog.archive_metric, v1.BillableMetricArchiveParams),
    get("/v1/billable-metrics/{billable_metric_id}", catalog.retrieve_metric, params.Nothing),
    put(
        "/v1/billable-metrics/{billable_metric_id}",
        catalog.update_metric,
        v1.BillableMetricUpdateParams,
    ),
    post(
        "/v1/contract-pricing/products/create",
        catalog.create_product,
        contract_types.ProductCreateParams,
    ),
    post(
        "/v1/contract-pricing/products/get",
        catalog.retrieve_product,
        contract_types.ProductRetrieveParams,
    ),
    post(
        "/v1/contract-pricing/products/list",
        catalog.list_products,
        contract_types.ProductListParams,
    ),
    post(
        "/v1/contract-pricing/products/update",
        catalog.update_product,
        contract_types.ProductUpdateParams,
    ),
    post(
        "/v1/contract-pricing/products/archive",
        catalog.archive_product,
        contract_types.ProductArchiveParams,
    ),
    # Rate cards
    post(
        "/v1/contract-pricing/rate-cards/create",
        ratecards.create,
        contract_types.RateCardCreateParams,
    ),
    post(
        "/v1/contract-pricing/rate-cards/get",
        ratecards.retrieve,
        contract_types.RateCardRetrieveParams,
    ),
    post("/v1/contract-pricing/rate-cards/list", ratecards.list_, params.RateCardList),
    post(
        "/v1/contract-pricing/rate-cards/update",
        ratecards.update,
        contract_types.RateCardUpdateParams,
    ),
    post(
        "/v1/contract-pricing/rate-cards/archive",
        ratecards.archive,
        contract_types.RateCardArchiveParams,
    ),
    post("/v1/contract-pricing/rate-cards/addRate", ratecards.add_rate, rate_types.RateAddParams),
    post(
        "/v1/contract-pricing/rate-cards/addRates",
        ratecards.add_rates,
        rate_types.RateAddManyParams,
    ),
    post(
        "/v1/contract-pricing/rate-cards/getRates", ratecards.get_rates, rate_types.RateListParams
    ),
    post(
        "/v1/contract-pricing/rate-cards/getRateSchedule",
        ratecards.get_rate_schedule,
        contract_types.RateCardRetrieveRateScheduleParams,
    ),
    # Contracts
    # Packages
    post("/v1/packages/create", packages.create, v1.PackageCreateParams),
    post("/v1/packages/get", package_views.retrieve, v1.PackageRetrieveParams),
    post("/v1/packages/list", package_views.list_, v1.PackageListParams),
    post("/v1/packages/archive", packages.archive, v1.PackageArchiveParams),
    post(
        "/v1/packages/listContractsOnPackage",
        package_views.list_contracts,
        v1.PackageListContractsOnPackageParams,
    ),
    # Contracts
    post("/v1/contracts/create", contracts.create, v1.ContractCreateParams),
    post("/v1/contracts/get", contract_views.retrieve_v1, v1.ContractRetrieveParams),
    post("/v1/contracts/list", contract_views.list_v1, v1.ContractListParams),
    post("/v1/contracts/updateEndDate", contracts.update_end_date, v1.ContractUpdateEndDateParams),
    post("/v1/contracts/archive", contracts.archive, v1.ContractArchiveParams),
    post(
        "/v1/contracts/getContractRateSchedule",
        contract_views.rate_schedule,
        v1.ContractRetrieveRateScheduleParams,
    ),
    post(
        "/v1/contracts/getSubscriptionQuantityHistory",
        contract_views.subscription_quantities,
        v1.ContractRetrieveSubscriptionQuantityHistoryParams,
    ),
    post("/v2/contracts/get", contract_views.retrieve_v2, v2.ContractRetrieveParams),
    post("/v2/contracts/list", contract_views.list_v2, v2.ContractListParams),
    post("/v2/contracts/edit", edits.edit, v2.ContractEditParams),
    post("/v2/contracts/getEditHistory", edits.history, v2.ContractGetEditHistoryParams),
    post("/v2/contracts/commits/edit", balances.edit_commit, v2.ContractEditCommitParams),
    post("/v2/contracts/credits/edit", balances.edit_credit, v2.ContractEditCreditParams),
    post("/v2/contracts/commits/archive", balances.archive_commit, params.CommitArchive),
    post("/v2/contracts/credits/archive", balances.archive_credit, params.CreditArchive),
    # Balances, commits and credits
    post(
        "/v1/contracts/customerBalances/list", balances.list_balances, v1.ContractListBalancesParams
    ),
    post(
        "/v1/contracts/customerBalances/getNetBalance",
        balances.get_net_balance,
        v1.ContractGetNetBalanceParams,
    ),
    post(
        "/v1/contracts/addManualBalanceLedgerEntry",
        balances.add_manual_entry,
        v1.ContractAddManualBalanceEntryParams,
    ),
    post(
        "/v1/contracts/customerCommits/create",
        balances.create_commit,
        customer_types.CommitCreateParams,
    ),
    post(
        "/v1/contracts/customerCommits/list", balances.list_commits, customer_types.CommitListParams
    ),
    post(
        "/v1/contracts/customerCommits/updateEndDate",
        balances.end_commit,
        customer_types.CommitUpdateEndDateParams,
    ),
    post(
        "/v1/contracts/customerCredits/create",
        balances.create_credit,
        customer_types.CreditCreateParams,
    ),
    post(
        "/v1/contracts/customerCredits/list", balances.list_credits, customer_types.CreditListParams
    ),
    post(
        "/v1/contracts/customerCredits/updateEndDate",
        balances.end_credit,
        customer_types.CreditUpdateEndDateParams,
    ),
    post("/v1/contracts/commits/threshold-billing/release", thresholds.release, params.Release),
    # Usage
    post("/v1/ingest", usage.ingest),
    post("/v1/usage", usage.list_, v1.UsageListParams),
    post("/v1/usage/groups", usage.list_with_groups, v1.UsageListWithGroupsParams),
    post("/v1/events/search", usage.search, v1.UsageSearchParams),
    # Invoices
    get(
        "/v1/customers/{customer_id}/invoices",
        invoice_views.list_,
        customer_types.InvoiceListParams,
    ),
    get(
        "/v1/customers/{customer_id}/invoices/breakdowns",
        breakdowns.list_,
        customer_types.InvoiceListBreakdownsParams,
    ),
    get(
        "/v1/customers/{customer_id}/invoices/{invoice_id}",
        invoice_views.retrieve,
        customer_types.InvoiceRetrieveParams,
    ),
    get(
        "/v1/customers/{customer_id}/invoices/{invoice_id}/pdf",
        invoice_views.retrieve_pdf,
        params.Nothing,
    ),
    post("/v1/invoices/void", invoices.void, v1.InvoiceVoidParams),
    post("/v1/invoices/regenerate", invoices.regenerate, v1.InvoiceRegenerateParams),
    # Alerts and notifications
    post("/v1/alerts/create", alerts.create, v1.AlertCreateParams),
    post("/v1/alerts/archive", alerts.archive, v1.AlertArchiveParams),
    post("/v1/customer-alerts/list", alerts.list_for_customer, customer_types.AlertListParams),
    post("/v1/customer-alerts/get", alerts.get_for_customer, customer_types.AlertRetrieveParams),
    post("/v1/customer-alerts/reset", alerts.reset_for_customer, customer_types.AlertResetParams),
    post("/v2/notifications/create", notifications.create, notification_types.OffsetCreateParams),
    post("/v2/notifications/get", notifications.retrieve, notification_types.OffsetRetrieveParams),
    post("/v2/notifications/edit", notifications.edit, params.NotificationEdit),
    post(
        "/v2/notifications/archive", notifications.archive, notification_types.OffsetArchiveParams
    ),
    post(
        "/v2/notifications/offset/list",
        notifications.list_offsets,
        notification_types.OffsetListParams,
    ),
    post("/v2/notifications/system/list", notifications.list_system, params.Nothing),
    # Custom fields
    post("/v1/customFields/addKey", fields.add_key, v1.CustomFieldAddKeyParams),
    post("/v1/customFields/removeKey", fields.remove_key, v1.CustomFieldRemoveKeyParams),
    post("/v1/customFields/listKeys", fields.list_keys, v1.CustomFieldListKeysParams),
    post("/v1/customFields/setValues", fields.set_values, v1.CustomFieldSetValuesParams),
    post("/v1/customFields/deleteValues", fields.delete_values, v1.CustomFieldDeleteValuesParams),
    # Dashboards and services
    post(
        "/v1/dashboards/getEmbeddableUrl", page.embeddable_url, v1.DashboardGetEmbeddableURLParams
    ),
    get("/v1/services", page.services, params.Nothing),
)

ROUTES = EMULATED + tuple(
    Route(method, path, instead=instead)
    for call, instead in NOT_EMULATED.items()
    for method, _, path in [call.partition(" ")]
)
