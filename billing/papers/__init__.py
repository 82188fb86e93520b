"""Papers: whom customers are billed as, and what they are given to keep.

    profiles, tax_ids, countries   what the customer writes about themselves
    content, issue                 what is printed on a paper, fixed when it is issued
    pdf, figures                   the same content is the same bytes each time
    listing                        payments and invoices as one list, and as CSV

Nothing here calls anybody. `payments.profiles` tells the gateway of a profile, `sync.invoices`
reads invoices from Metronome.
"""
