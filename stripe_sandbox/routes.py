"""Every call of Stripe's API that is emulated: the whole table, in one place."""

from stripe import params
from stripe.params import billing_portal as portal_params
from stripe.params import checkout as checkout_params
from stripe.params import radar as radar_params
from stripe.params import tax as tax_params

from stripe_sandbox import (
    charges,
    checkout,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    portal,
    refunds,
    setup_intents,
    tax,
    tax_ids,
    warnings,
)
from stripe_sandbox.routing import PAGING, UNDATED, Route, get, post, route

_CUSTOMER = (
    "address business_name description email individual_name "
    "invoice_settings.default_payment_method metadata name phone preferred_locales shipping "
    "tax_exempt"
)
_CONFIRMING = (
    "allowed_payment_method_types capture_method error_on_requires_action "
    "hooks.inputs.tax.calculation off_session payment_method "
    "payment_method_options.card.request_three_d_secure "
    "payment_method_options.card.stored_credential_usage receipt_email return_url "
    "setup_future_usage shipping"
)
_SETTING_UP = (
    "allowed_payment_method_types payment_method "
    "payment_method_options.card.request_three_d_secure "
    "payment_method_options.card.setup_credential_usage return_url"
)
_CHECKOUT = (
    "adaptive_pricing.enabled allowed_payment_method_types billing_address_collection cancel_url "
    "client_reference_id "
    "consent_collection.payment_method_reuse_agreement.position "
    "consent_collection.terms_of_service currency custom_text customer customer_creation "
    "customer_email customer_update.address customer_update.name expires_at "
    "line_items.price_data line_items.quantity locale metadata mode "
    "payment_intent_data.description payment_intent_data.metadata "
    "payment_intent_data.receipt_email payment_intent_data.setup_future_usage "
    "payment_intent_data.statement_descriptor_suffix setup_intent_data.description "
    "setup_intent_data.metadata submit_type success_url tax_id_collection ui_mode"
)

ROUTES: tuple[Route, ...] = (
    # Customers
    post(
        "customers",
        customers.create,
        params.CustomerCreateParams,
        "customer",
        f"{_CUSTOMER} payment_method tax_id_data",
    ),
    get("customers", customers.list_, params.CustomerListParams, "customer", f"email {PAGING}"),
    get(
        "customers/search",
        customers.search_,
        params.CustomerSearchParams,
        "customer",
        "limit page query",
    ),
    get("customers/{id}", customers.retrieve, params.CustomerRetrieveParams, "customer"),
    post("customers/{id}", customers.update, params.CustomerUpdateParams, "customer", _CUSTOMER),
    route("DELETE", "customers/{id}", customers.delete, None, "customer"),
    get(
        "customers/{customer}/payment_methods",
        payment_methods.list_of_customer,
        params.CustomerPaymentMethodListParams,
        "payment_method",
        f"type {UNDATED}",
    ),
    get(
        "customers/{customer}/payment_methods/{id}",
        payment_methods.retrieve_of_customer,
        params.CustomerPaymentMethodRetrieveParams,
        "payment_method",
    ),
    post(
        "customers/{customer}/tax_ids",
        tax_ids.create,
        params.CustomerTaxIdCreateParams,
        "customer",
        "type value",
    ),
    route("DELETE", "customers/{customer}/tax_ids/{id}", tax_ids.delete, None, "customer"),
    # Payment methods
    post(
        "payment_methods",
        payment_methods.create,
        params.PaymentMethodCreateParams,
        "payment_method",
        "billing_details card.cvc card.exp_month card.exp_year card.number card.token metadata "
        "type",
    ),
    get(
        "payment_methods",
        payment_methods.list_,
        params.PaymentMethodListParams,
        "payment_method",
        f"customer type {UNDATED}",
    ),
    get(
        "payment_methods/{id}",
        payment_methods.retrieve,
        params.PaymentMethodRetrieveParams,
        "payment_method",
    ),
    post(
        "payment_methods/{id}",
        payment_methods.update,
        params.PaymentMethodUpdateParams,
        "payment_method",
        "billing_details card.exp_month card.exp_year metadata",
    ),
    post(
        "payment_methods/{id}/attach",
        payment_methods.attach,
        params.PaymentMethodAttachParams,
        "payment_method",
        "customer",
    ),
    post(
        "payment_methods/{id}/detach",
        payment_methods.detach,
        params.PaymentMethodDetachParams,
        "payment_method",
    ),
    # Setup intents
    post(
        "setup_intents",
        setup_intents.create,
        params.SetupIntentCreateParams,
        "setup_intent",
        f"automatic_payment_methods confirm customer description metadata usage {_SETTING_UP}",
    ),
    get(
        "setup_intents",
        setup_intents.list_,
        params.SetupIntentListParams,
        "setup_intent",
        f"customer payment_method {PAGING}",
    ),
    get(
        "setup_intents/{id}",
        setup_intents.retrieve,
        params.SetupIntentRetrieveParams,
        "setup_intent",
        "client_secret",
    ),
    post(
        "setup_intents/{id}/confirm",
        setup_intents.confirm,
        params.SetupIntentConfirmParams,
        "setup_intent",
        _SETTING_UP,
    ),
    post(
        "setup_intents/{id}/cancel",
        setup_intents.cancel,
        params.SetupIntentCancelParams,
        "setup_intent",
        "cancellation_reason",
    ),
    # Payment intents
    post(
        "payment_intents",
        payment_intents.create,
        params.PaymentIntentCreateParams,
        "payment_intent",
        "amount automatic_payment_methods confirm currency customer description metadata "
        f"statement_descriptor_suffix {_CONFIRMING}",
    ),
    get(
        "payment_intents",
        payment_intents.list_,
        params.PaymentIntentListParams,
        "payment_intent",
        f"customer {PAGING}",
    ),
    get(
        "payment_intents/search",
        payment_intents.search_,
        params.PaymentIntentSearchParams,
        "payment_intent",
        "limit page query",
    ),
    get(
        "payment_intents/{id}",
        payment_intents.retrieve,
        params.PaymentIntentRetrieveParams,
        "payment_intent",
        "client_secret",
    ),
    post(
        "payment_intents/{id}",
        payment_intents.update,
        params.PaymentIntentUpdateParams,
        "payment_intent",
        "amount description metadata receipt_email statement_descriptor_suffix",
    ),
    post(
        "payment_intents/{id}/confirm",
        payment_intents.confirm,
        params.PaymentIntentConfirmParams,
        "payment_intent",
        _CONFIRMING,
    ),
    post(
        "payment_intents/{id}/cancel",
        payment_intents.cancel,
        params.PaymentIntentCancelParams,
        "payment_intent",
        "cancellation_reason",
    ),
    # Charges, refunds, disputes, warnings
    get(
        "charges",
        charges.list_,
        params.ChargeListParams,
        "charge",
        f"customer payment_intent {PAGING}",
    ),
    get("charges/{id}", charges.retrieve, params.ChargeRetrieveParams, "charge"),
    post(
        "refunds",
        refunds.create,
        params.RefundCreateParams,
        "refund",
        "amount charge metadata payment_intent reason",
    ),
    get(
        "refunds",
        refunds.list_,
        params.RefundListParams,
        "refund",
        f"charge payment_intent {PAGING}",
    ),
    get("refunds/{id}", refunds.retrieve, params.RefundRetrieveParams, "refund"),
    post("refunds/{id}", refunds.update, params.RefundUpdateParams, "refund", "metadata"),
    get(
        "disputes",
        disputes.list_,
        params.DisputeListParams,
        "dispute",
        f"charge payment_intent {PAGING}",
    ),
    get("disputes/{id}", disputes.retrieve, params.DisputeRetrieveParams, "dispute"),
    get(
        "radar/early_fraud_warnings",
        warnings.list_,
        radar_params.EarlyFraudWarningListParams,
        "radar",
        f"charge payment_intent {PAGING}",
    ),
    get(
        "radar/early_fraud_warnings/{id}",
        warnings.retrieve,
        radar_params.EarlyFraudWarningRetrieveParams,
        "radar",
    ),
    get("reviews/{id}", warnings.retrieve_review, params.ReviewRetrieveParams, "radar"),
    # Checkout and the customer portal
    post(
        "checkout/sessions",
        checkout.create,
        checkout_params.SessionCreateParams,
        "checkout_session",
        _CHECKOUT,
    ),
    get(
        "checkout/sessions",
        checkout.list_,
        checkout_params.SessionListParams,
        "checkout_session",
        f"customer payment_intent status {PAGING}",
    ),
    get(
        "checkout/sessions/{id}",
        checkout.retrieve,
        checkout_params.SessionRetrieveParams,
        "checkout_session",
    ),
    get(
        "checkout/sessions/{id}/line_items",
        checkout.line_items,
        checkout_params.SessionListLineItemsParams,
        "checkout_session",
        "limit",
    ),
    post(
        "checkout/sessions/{id}/expire",
        checkout.expire,
        checkout_params.SessionExpireParams,
        "checkout_session",
    ),
    post(
        "billing_portal/sessions",
        portal.create,
        portal_params.SessionCreateParams,
        "customer_portal",
        "customer flow_data.after_completion.redirect flow_data.after_completion.type "
        "flow_data.type locale return_url",
    ),
    # Events
    get(
        "events",
        events.list_,
        params.EventListParams,
        "event",
        f"delivery_success type types {PAGING}",
    ),
    get("events/{id}", events.retrieve, params.EventRetrieveParams, "event"),
    # Tax
    post(
        "tax/calculations",
        tax.create,
        tax_params.CalculationCreateParams,
        "tax_calculation",
        "currency customer customer_details.address customer_details.address_source "
        "customer_details.tax_ids line_items.amount line_items.quantity line_items.reference "
        "line_items.tax_behavior line_items.tax_code",
    ),
    get(
        "tax/calculations/{id}",
        tax.retrieve,
        tax_params.CalculationRetrieveParams,
        "tax_calculation",
    ),
    get(
        "tax/calculations/{id}/line_items",
        tax.line_items,
        tax_params.CalculationListLineItemsParams,
        "tax_calculation",
        "limit",
    ),
)
