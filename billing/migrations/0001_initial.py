import django.db.models.deletion
import uuid
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ChargeAtTestGateway',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=128, unique=True)),
                ('method_reference', models.CharField(max_length=200)),
                ('amount_cents', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('description', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('refunded_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name_plural': 'charges at test gateway',
            },
        ),
        migrations.CreateModel(
            name='CreditGrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('kind', models.CharField(choices=[('commit', 'Commit'), ('credit', 'Credit')], max_length=10)),
                ('remote_id', models.CharField(help_text='Id of the commit or credit at Metronome.', max_length=64)),
                ('segment_id', models.CharField(help_text='Id of its access segment: one entry each, from whichever path hears first.', max_length=64, unique=True)),
                ('key', models.CharField(blank=True, default='', help_text="Our uniqueness key, kept as the commit's description.", max_length=128)),
                ('name', models.CharField(max_length=200)),
                ('granted', models.BigIntegerField(help_text='Credits.')),
                ('remaining', models.BigIntegerField(help_text='Credits not yet drawn or expired.')),
                ('priority', models.DecimalField(decimal_places=3, default=Decimal('100'), help_text='Lower is drawn first.', max_digits=12)),
                ('is_free', models.BooleanField(help_text='Costs the customer nothing; drawn before paid credits of the same priority.')),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('made_at', models.DateTimeField(blank=True, help_text='When Metronome made it, if it said so: what was final then it does not pay.', null=True)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='InboundWebhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('event_id', models.CharField(max_length=128, unique=True)),
                ('type', models.CharField(db_index=True, max_length=128)),
                ('customer_ref', models.CharField(blank=True, default='', max_length=64)),
                ('payload', models.JSONField()),
                ('received_at', models.DateTimeField(db_index=True)),
                ('processed_at', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(blank=True, default='', help_text='What was done, or why nothing was.', max_length=200)),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='inboundwebhook_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='inboundwebhook_dead'), models.Index(fields=['customer_ref', 'id'], name='inboundwebhook_by_customer')],
            },
        ),
        migrations.CreateModel(
            name='PaymentMethod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('gateway', models.CharField(max_length=20)),
                ('reference', models.CharField(help_text="The card's id at the gateway.", max_length=200)),
                ('label', models.CharField(help_text='What the customer sees, such as “Test card •••• 4242”.', max_length=100)),
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='payment_method', to='accounts.customer')),
            ],
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('plan', models.CharField(help_text='A key of billing.plans.PLANS.', max_length=20)),
                ('state', models.CharField(choices=[('requested', 'Requested'), ('active', 'Active'), ('ended', 'Ended'), ('failed', 'Failed')], default='requested', max_length=10)),
                ('key', models.CharField(help_text="The form's key: the same choice sent twice is one subscription.", max_length=128)),
                ('anchor_at', models.DateTimeField(blank=True, help_text='Start of the first period; months count from its day.', null=True)),
                ('period', models.PositiveIntegerField(default=0, help_text='Number of the current period, from 0.')),
                ('period_start_at', models.DateTimeField(blank=True, null=True)),
                ('period_end_at', models.DateTimeField(blank=True, null=True)),
                ('failure', models.TextField(blank=True, default='', help_text='Shown to the customer.')),
                ('created_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='accounts.customer')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Payment',
            fields=[
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('plan', 'Plan'), ('recharge', 'Recharge')], max_length=10)),
                ('state', models.CharField(choices=[('initiated', 'Initiated'), ('charging', 'Charging'), ('charged', 'Charged'), ('releasing', 'Releasing'), ('released', 'Released'), ('granted', 'Granted'), ('failed', 'Failed'), ('refunding', 'Refunding'), ('refunded', 'Refunded')], default='initiated', max_length=10)),
                ('amount_cents', models.BigIntegerField(help_text='What is charged: the invoice total rounded half up.')),
                ('invoice_total', models.CharField(blank=True, default='', help_text='Cents as Metronome sent them, fractions and all.', max_length=40)),
                ('currency', models.CharField(default='USD', max_length=3)),
                ('period', models.PositiveIntegerField(blank=True, null=True)),
                ('workflow_id', models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ('invoice_id', models.CharField(blank=True, default='', help_text="Metronome's invoice of a recharge.", max_length=64)),
                ('gateway', models.CharField(max_length=20)),
                ('gateway_reference', models.CharField(blank=True, default='', help_text="The charge's id at the gateway.", max_length=200)),
                ('doubted_at', models.DateTimeField(blank=True, help_text='When Metronome first called the recharge over without saying how it ended.', null=True)),
                ('release_refusal', models.TextField(blank=True, default='', help_text='Why Metronome did not want a paid release; then we grant the credits.')),
                ('failure', models.TextField(blank=True, default='', help_text='Why it failed, in words for the customer.')),
                ('created_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='accounts.customer')),
                ('grant', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='payment', to='billing.creditgrant')),
                ('subscription', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='billing.subscription')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Wallet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('balance', models.BigIntegerField(default=0, help_text='Credits; the sum of all ledger entries.')),
                ('reserved', models.BigIntegerField(default=0, help_text='Credits held by open reservations.')),
                ('version', models.BigIntegerField(default=0)),
                ('expires_next_at', models.DateTimeField(blank=True, help_text='When the next grant ends; the gate refuses to spend past it.', null=True)),
                ('expired_last_at', models.DateTimeField(blank=True, help_text='When the last grant ended that was written off; nothing is held for a moment before.', null=True)),
                ('frozen_at', models.DateTimeField(blank=True, help_text='Set by an operator: nothing can be reserved.', null=True)),
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='wallet', to='accounts.customer')),
            ],
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=128)),
                ('amount', models.BigIntegerField()),
                ('captured', models.BigIntegerField(default=0)),
                ('state', models.CharField(choices=[('open', 'Open'), ('captured', 'Captured'), ('released', 'Released'), ('expired', 'Expired')], default='open', max_length=10)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('reported_at', models.DateTimeField(blank=True, help_text='When Metronome acknowledged the usage.', null=True)),
                ('wallet', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='reservations', to='billing.wallet')),
            ],
        ),
        migrations.CreateModel(
            name='LedgerEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('grant', 'Grant'), ('grant_change', 'grant changed at Metronome'), ('capture', 'Capture'), ('expiry', 'Expiry'), ('adjustment', 'Adjustment')], max_length=15)),
                ('amount', models.BigIntegerField(help_text='Credits, signed.')),
                ('balance_after', models.BigIntegerField()),
                ('version', models.BigIntegerField(help_text="The wallet's version this entry made.")),
                ('consumptions', models.JSONField(default=list, help_text='[grant, credits] as drawn, with the hour (Unix time) if decided anew.')),
                ('note', models.CharField(blank=True, default='', max_length=200)),
                ('created_at', models.DateTimeField()),
                ('grant', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.creditgrant')),
                ('reservation', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entry', to='billing.reservation')),
                ('wallet', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.wallet')),
            ],
            options={
                'verbose_name_plural': 'ledger entries',
            },
        ),
        migrations.CreateModel(
            name='Drift',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('open', 'Open'), ('adjusted', 'Adjusted'), ('gone', 'gone by itself')], default='open', max_length=10)),
                ('difference', models.BigIntegerField(help_text='Credits at Metronome minus credits here, beyond what is under way.')),
                ('wallet_balance', models.BigIntegerField()),
                ('metronome_balance', models.BigIntegerField()),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('same_since_at', models.DateTimeField(blank=True, help_text='Since when this very difference is read with nothing under way. Only that may be adjusted.', null=True)),
                ('approved_by', models.ForeignKey(blank=True, help_text='Who agreed to an adjustment above the automatic limit.', null=True, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL)),
                ('entry', models.OneToOneField(blank=True, help_text='The adjustment.', null=True, on_delete=django.db.models.deletion.PROTECT, to='billing.ledgerentry')),
                ('wallet', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='drifts', to='billing.wallet')),
            ],
        ),
        migrations.AddField(
            model_name='creditgrant',
            name='wallet',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='billing.wallet'),
        ),
        migrations.CreateModel(
            name='AutoRecharge',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('enabled', models.BooleanField(default=False)),
                ('threshold_credits', models.BigIntegerField()),
                ('recharge_to_credits', models.BigIntegerField()),
                ('failure', models.TextField(blank=True, default='', help_text='Why the last recharge failed; shown until it is enabled again.')),
                ('low_since_at', models.DateTimeField(blank=True, help_text='At or under the threshold with nothing under way since then.', null=True)),
                ('stuck_at', models.DateTimeField(blank=True, help_text='The recharge did not come; it was toggled once to make Metronome look again.', null=True)),
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='auto_recharge', to='accounts.customer')),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='autorecharge_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='autorecharge_dead')],
            },
        ),
        migrations.CreateModel(
            name='Contract',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('metronome_id', models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ('starts_at', models.DateTimeField(help_text='Floored to the hour; usage before it would not be rated.')),
                ('recharge_enabled', models.BooleanField(help_text='Auto-recharge as last read at Metronome. Empty: not configured there.', null=True)),
                ('recharge_threshold_credits', models.BigIntegerField(blank=True, null=True)),
                ('recharge_to_credits', models.BigIntegerField(blank=True, null=True)),
                ('synced_at', models.DateTimeField(blank=True, null=True)),
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='contract', to='accounts.customer')),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='contract_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='contract_dead')],
            },
        ),
        migrations.CreateModel(
            name='ComplimentaryGrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('kind', models.CharField(choices=[('complimentary', 'Complimentary'), ('credit_back', 'Credit Back')], max_length=20)),
                ('key', models.CharField(help_text='Names the grant at Metronome: one gift, one grant.', max_length=128, unique=True)),
                ('credits', models.BigIntegerField()),
                ('reason', models.CharField(max_length=200)),
                ('ends_at', models.DateTimeField()),
                ('created_at', models.DateTimeField()),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='complimentary_grants_given', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='complimentary_grants', to='accounts.customer')),
                ('grant', models.OneToOneField(blank=True, help_text='Empty until Metronome has it.', null=True, on_delete=django.db.models.deletion.PROTECT, to='billing.creditgrant')),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='complimentarygrant_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='complimentarygrant_dead')],
                'constraints': [models.CheckConstraint(condition=models.Q(('credits__gt', 0)), name='complimentarygrant_of_something')],
            },
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='subscription_due'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='subscription_dead'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.UniqueConstraint(fields=('customer', 'key'), name='subscription_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.UniqueConstraint(condition=models.Q(('plan', 'trial')), fields=('customer',), name='subscription_one_trial'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'requested')), fields=('customer',), name='subscription_one_requested'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('customer',), name='subscription_one_active'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='payment_due'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='payment_dead'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['customer', '-created_at'], name='payment_by_customer'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['-created_at'], name='payment_newest'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['state', '-created_at'], name='payment_by_state'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['invoice_id'], name='payment_by_invoice'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['gateway_reference'], name='payment_by_charge'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('state__in', ['granted', 'failed', 'refunded']), _negated=True), fields=['customer'], name='payment_open'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(fields=('subscription', 'period'), name='payment_once_a_period'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'recharge'), models.Q(('state__in', ['granted', 'failed', 'refunded']), _negated=True)), fields=('customer',), name='payment_one_open_recharge'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('reserved__gte', 0), ('reserved__lte', models.F('balance'))), name='wallet_reserved_within_balance'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['expires_at'], name='reservation_open'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['wallet'], name='reservation_wallet_open'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state__in', ['released', 'expired'])), fields=['state', '-id'], name='reservation_given_back'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'captured')), fields=['wallet', 'reported_at'], name='reservation_captured'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.UniqueConstraint(fields=('wallet', 'key'), name='reservation_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('captured__gte', 0), ('captured__lte', models.F('amount'))), name='reservation_amounts'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(condition=models.Q(('kind', 'capture'), _negated=True), fields=['wallet', 'created_at'], name='entry_no_capture'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(fields=('wallet', 'version'), name='entry_version_unique'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'grant')), fields=('grant',), name='entry_one_grant'),
        ),
        migrations.AddConstraint(
            model_name='drift',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('wallet',), name='drift_one_open'),
        ),
        migrations.AddIndex(
            model_name='creditgrant',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='creditgrant_due'),
        ),
        migrations.AddIndex(
            model_name='creditgrant',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='creditgrant_dead'),
        ),
        migrations.AddIndex(
            model_name='creditgrant',
            index=models.Index(condition=models.Q(('remaining__gt', 0)), fields=['wallet', 'priority'], name='grant_to_draw'),
        ),
        migrations.AddConstraint(
            model_name='creditgrant',
            constraint=models.CheckConstraint(condition=models.Q(('remaining__gte', 0), ('remaining__lte', models.F('granted'))), name='grant_remaining_within_granted'),
        ),
    ]
