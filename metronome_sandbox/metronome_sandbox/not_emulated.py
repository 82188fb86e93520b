"""What Metronome publishes and the sandbox does not emulate, with what to use instead.

They are answered with 501 and these words; those of calls also stand in the README's table.
"""

NAMED = "there are no named schedules here"
PLANS = "plans and credit grants are the model before contracts: use contracts, commits and credits"
SEATS = "subscriptions have a quantity here, and no seats that are told apart"
REVENUE = "no revenue system is attached: read the invoices"
PROVIDER = "no billing provider is attached: use the payment gate EXTERNAL, or charge by yourself"
TAX = "no tax is computed: add it to what you charge"
CARD_ORDER = "the order of a card's products is for Metronome's own pages only"

NOT_EMULATED: dict[str, str] = {
    "POST /v1/approval_requests/submit": "nothing here waits for approval",
    "POST /v1/archiveCustomerRevenueSystemConfigurations": REVENUE,
    "GET /v1/auditLogs": "see GET /_sandbox/state and the log of `metronome-sandbox`",
    "POST /v1/billable-metrics": "the older spelling: use POST /v1/billable-metrics/create",
    "DELETE /v1/client/billing-config/stripe": PROVIDER,
    "PATCH /v1/client/billing-config/stripe": PROVIDER,
    "POST /v1/client/billing-config/stripe": PROVIDER,
    "POST /v1/client/billing-config/{billing_provider_type}/apiKey": PROVIDER,
    "POST /v1/client/config/webhook_secret": "give --webhook-secret when the sandbox starts",
    "POST /v1/composite/createCustomerWithContract": (
        "use POST /v1/customers, then POST /v1/contracts/create"
    ),
    "POST /v1/contract-pricing/rate-cards/getNamedSchedule": NAMED,
    "POST /v1/contract-pricing/rate-cards/moveRateCardProducts": CARD_ORDER,
    "POST /v1/contract-pricing/rate-cards/setRateCardProductsOrder": CARD_ORDER,
    "POST /v1/contract-pricing/rate-cards/updateNamedSchedule": NAMED,
    "POST /v1/contracts/amend": "the older way to change a contract: use POST /v2/contracts/edit",
    "POST /v1/contracts/commits/disableTrueup": "postpaid commits have no true-up here",
    "POST /v1/contracts/createHistoricalInvoices": (
        "start the contract in the past and send its usage, of up to 34 days ago"
    ),
    "POST /v1/contracts/getNamedSchedule": NAMED,
    "POST /v1/contracts/getSubscriptionSeatsHistory": SEATS,
    "POST /v1/contracts/listNamedSchedules": NAMED,
    "POST /v1/contracts/scheduleProServicesInvoice": (
        "invoice a prepaid commit by its invoice_schedule"
    ),
    "POST /v1/contracts/seatBalances/list": SEATS,
    "POST /v1/contracts/setUsageFilter": (
        "a contract bills all usage of its customer: use customers of their own"
    ),
    "POST /v1/contracts/updateInvoiceIssueDate": (
        "change the commit's invoice_schedule by POST /v2/contracts/edit"
    ),
    "POST /v1/contracts/updateNamedSchedule": NAMED,
    "POST /v1/credits/createGrant": PLANS,
    "POST /v1/credits/editGrant": PLANS,
    "POST /v1/credits/listEntries": PLANS,
    "POST /v1/credits/listGrants": PLANS,
    "POST /v1/credits/voidGrant": PLANS,
    "POST /v1/customers/getNamedSchedule": NAMED,
    "POST /v1/customers/setBillableStatus": "every customer is billable; archive those who are not",
    "POST /v1/customers/updateNamedSchedule": NAMED,
    "POST /v1/customers/{customer_id}/addCharge": PLANS,
    "DELETE /v1/customers/{customer_id}/billing-config/{billing_provider_type}": (
        "use POST /v1/archiveCustomerBillingProviderConfigurations"
    ),
    "GET /v1/customers/{customer_id}/billing-config/{billing_provider_type}": (
        "use POST /v1/getCustomerBillingProviderConfigurations"
    ),
    "POST /v1/customers/{customer_id}/billing-config/{billing_provider_type}": (
        "use POST /v1/setCustomerBillingProviderConfigurations"
    ),
    "GET /v1/customers/{customer_id}/costs": "use POST /v1/usage/groups and the rates, or invoices",
    "POST /v1/customers/{customer_id}/invoices/invoice_seats": SEATS,
    "POST /v1/customers/{customer_id}/invoices/spend-breakdowns": (
        "use POST /v1/usage/groups and the rates"
    ),
    "GET /v1/customers/{customer_id}/plans": PLANS,
    "POST /v1/customers/{customer_id}/plans/add": PLANS,
    "POST /v1/customers/{customer_id}/plans/{customer_plan_id}/end": PLANS,
    "GET /v1/customers/{customer_id}/plans/{customer_plan_id}/priceAdjustments": PLANS,
    "GET /v1/customers/{customer_id}/purchasedSeats": SEATS,
    "POST /v1/getCustomerRevenueSystemConfigurations": REVENUE,
    "POST /v1/integrations/log": "no integration is attached",
    "POST /v1/listConfiguredBillingProviders": PROVIDER,
    "GET /v1/planDetails/{plan_id}": PLANS,
    "GET /v1/planDetails/{plan_id}/charges": PLANS,
    "GET /v1/planDetails/{plan_id}/customers": PLANS,
    "GET /v1/plans": PLANS,
    "POST /v1/rotateDeltaStreamSecret": "no data is exported: read it by the API",
    "POST /v1/setCustomerRevenueSystemConfigurations": REVENUE,
    "POST /v1/setUpBillingProvider": PROVIDER,
    "POST /v1/threshold-billing/update-active-recharge-config": (
        "use update_prepaid_balance_threshold_configuration of POST /v2/contracts/edit"
    ),
    "POST /v1/upsertAnrokApiToken": TAX,
    "POST /v1/upsertAvalaraCredentials": TAX,
    "POST /v1/usage/seats": SEATS,
}

# Terms that contracts cannot have, edits cannot change and packages cannot have.
OF_CONTRACTS = {
    "discounts": "use overrides with a multiplier",
    "hierarchy_configuration": "use one contract for the usage of all",
    "professional_services": "invoice a prepaid commit by its invoice_schedule",
    "reseller_royalties": "compute them from the invoices",
    "scheduled_charges": "invoice a prepaid commit by its invoice_schedule, or use a subscription",
    "spend_trackers": "use alerts of type spend_threshold_reached",
    "usage_filter": "a contract bills all usage of its customer, use customers of their own",
}
OF_EDITS = {
    name: OF_CONTRACTS[name.partition("_")[2]]
    for name in (
        "add_discounts",
        "add_professional_services",
        "add_reseller_royalties",
        "add_scheduled_charges",
        "add_spend_trackers",
        "archive_scheduled_charges",
        "archive_spend_trackers",
        "update_scheduled_charges",
    )
}
_CONFIGURE = "set the customer's by POST /v1/setCustomerBillingProviderConfigurations"
OF_PACKAGES = {
    "billing_provider": _CONFIGURE,
    "delivery_method": _CONFIGURE,
    "scheduled_charges": OF_CONTRACTS["scheduled_charges"],
    "spend_trackers": OF_CONTRACTS["spend_trackers"],
}
