import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('billing', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Generation',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=144)),
                ('body_hash', models.CharField(help_text='SHA-256 of text, voice and what is asked for of the manner: the same key with another body is refused.', max_length=64)),
                ('text', models.TextField(help_text='Normalised: NFC, line ends LF.')),
                ('manner', models.JSONField(blank=True, default=dict, help_text='How it is spoken, as far as it is not the usual way; see `usage.speech.manner`.')),
                ('voice', models.CharField(help_text='Id of a house voice or of a personal Voice.', max_length=120)),
                ('voice_name', models.CharField(max_length=60)),
                ('voice_type', models.CharField(choices=[('standard', 'Standard'), ('premium', 'Premium')], max_length=10)),
                ('characters', models.PositiveIntegerField(help_text='Of the text.')),
                ('characters_spoken', models.PositiveIntegerField(blank=True, help_text='Spoken and charged, if its customer stopped it. Empty: all of the text.', null=True)),
                ('credits', models.BigIntegerField(help_text='What it costs; of a stopped one what it cost.')),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('done', 'Done'), ('failed', 'Failed')], default='pending', max_length=10)),
                ('is_queued', models.BooleanField(default=False, help_text='So long that a worker speaks it, on its `LongSpeech`.')),
                ('tries', models.PositiveSmallIntegerField(default=0, help_text='Number of failed reservations before the current one; part of its key.')),
                ('available_after', models.BigIntegerField(blank=True, help_text='Credits left when it was done, for the response to a repeated request.', null=True)),
                ('audio', models.CharField(blank=True, default='', help_text='Name in the default file storage.', max_length=200)),
                ('content_type', models.CharField(help_text="Media type of the audio; determines the file's extension.", max_length=60)),
                ('audio_until_at', models.DateTimeField(blank=True, help_text='Until then it is kept. Empty: until it is deleted.', null=True)),
                ('audio_deleted_at', models.DateTimeField(blank=True, help_text='When it was deleted because its time was over.', null=True)),
                ('again_at', models.DateTimeField(blank=True, help_text='When its audio was last begun to be made again, free.', null=True)),
                ('is_making_again', models.BooleanField(default=False)),
                ('duration_seconds', models.FloatField(blank=True, null=True)),
                ('words', models.TextField(blank=True, help_text='When each word is heard, in the form of `usage.speech.words`. Empty: not known.', null=True)),
                ('failure', models.TextField(blank=True, default='')),
                ('created_at', models.DateTimeField()),
                ('taken_at', models.DateTimeField(help_text='When a request last began to speak it. An abandoned one may be taken over.')),
                ('finished_at', models.DateTimeField(blank=True, help_text='When it was spoken or failed, or its audio made again.', null=True)),
                ('api_key', models.ForeignKey(blank=True, db_index=False, help_text='The API key that asked for it. Empty: asked for on the site.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='generations', to='accounts.apikey')),
                ('credit_back', models.OneToOneField(blank=True, help_text='The credits that were credited back for it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='generation', to='billing.complimentarygrant')),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='generations', to='accounts.customer')),
                ('reservation', models.OneToOneField(blank=True, help_text='The credits it cost. Empty until done.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='generation', to='billing.reservation')),
            ],
        ),
        migrations.CreateModel(
            name='Pronunciation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('written', models.CharField(help_text='A word or phrase, in NFC.', max_length=60)),
                ('spoken', models.CharField(help_text='A spelling, or IPA between slashes.', max_length=60)),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='pronunciations', to='accounts.customer')),
            ],
        ),
        migrations.CreateModel(
            name='ReconciliationRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('kind', models.CharField(choices=[('hours', 'closed hours, of customers with usage in them'), ('days', 'days, of everybody at Metronome')], max_length=10, unique=True)),
                ('since_at', models.DateTimeField(blank=True, help_text='Usage before this is compared.', null=True)),
                ('until_at', models.DateTimeField(blank=True, help_text='End of the time that this run compares. Empty: no run is going on.', null=True)),
                ('after', models.UUIDField(blank=True, help_text='The cursor: customers up to this id are compared.', null=True)),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='reconciliationrun_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='reconciliationrun_dead')],
            },
        ),
        migrations.CreateModel(
            name='UsageDiscrepancy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('hour_at', models.DateTimeField(help_text='Start of the hour.')),
                ('event_type', models.CharField(max_length=40)),
                ('voice_type', models.CharField(blank=True, help_text='Empty where the price does not depend on it.', max_length=40)),
                ('local_units', models.BigIntegerField(help_text='Units: characters, or own voices.')),
                ('remote_units', models.DecimalField(decimal_places=6, help_text='Units as Metronome counts them.', max_digits=24)),
                ('is_in_transit', models.BooleanField(help_text='The missing events are in transit: nothing to do.')),
                ('detail', models.TextField(help_text='The differences at the last comparison of events, with their ids.')),
                ('repair_asked', models.BooleanField(default=False, help_text='A worker sends again what is missing at Metronome.')),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('resolved_at', models.DateTimeField(blank=True, help_text='The numbers agree, or it was closed by hand. Opens again if they change.', null=True)),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usage_discrepancies', to='accounts.customer')),
            ],
            options={
                'verbose_name_plural': 'usage discrepancies',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='UsageEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('transaction_id', models.CharField(max_length=128)),
                ('event_type', models.CharField(max_length=40)),
                ('happened_at', models.DateTimeField(help_text='When its credits were reserved.')),
                ('properties', models.JSONField(help_text='Strings only; never the text that was spoken.')),
                ('credits', models.BigIntegerField()),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usage_events', to='accounts.customer')),
                ('reservation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='usage_event', to='billing.reservation')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='VoiceConsent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sentence', models.TextField(help_text='As it was shown, and read aloud in the sample.')),
                ('sentence_sha256', models.CharField(max_length=64)),
                ('address', models.CharField(help_text='Network address it came from; of IPv6 the /64 network.', max_length=45)),
                ('given_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='voice_consents', to='accounts.customer')),
            ],
        ),
        migrations.CreateModel(
            name='VoiceMatch',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(help_text='Key of the form: the same form sent twice is one match.', max_length=128)),
                ('body_hash', models.CharField(blank=True, help_text='SHA-256 of the sample. Empty once it is forgotten.', max_length=64)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('ready', 'Ready'), ('kept', 'Kept'), ('failed', 'Failed'), ('revoked', 'Revoked')], default='pending', max_length=10)),
                ('candidates', models.JSONField(default=list, help_text='The nearest of our voices: style, gain and likeness (a cosine).')),
                ('embedding', models.BinaryField(blank=True, help_text='Of the voice: 256 numbers of 16 bits. Biometric data.', null=True)),
                ('sample', models.CharField(blank=True, default='', help_text='Name in the file storage. Empty unless the customer wants it kept.', max_length=200)),
                ('failure', models.TextField(blank=True, default='', help_text='Shown to the customer.')),
                ('created_at', models.DateTimeField()),
                ('consent', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='match', to='usage.voiceconsent')),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='voice_matches', to='accounts.customer')),
            ],
            options={
                'verbose_name_plural': 'voice matches',
            },
        ),
        migrations.CreateModel(
            name='Voice',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(help_text='Key of the form: the same form sent twice is one voice.', max_length=128)),
                ('name', models.CharField(max_length=60)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('ready', 'Ready'), ('failed', 'Failed'), ('revoked', 'Revoked')], default='pending', max_length=10)),
                ('engine', models.CharField(help_text='Name of the speech engine that speaks with it.', max_length=40)),
                ('settings', models.JSONField(default=dict, help_text='Settings of the voice, in a format of its engine.')),
                ('credits', models.BigIntegerField()),
                ('failure', models.TextField(blank=True, default='', help_text='Shown to the customer.')),
                ('created_at', models.DateTimeField()),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='voices', to='accounts.customer')),
                ('reservation', models.OneToOneField(blank=True, help_text='The credits it cost. Empty until ready.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='voice', to='billing.reservation')),
                ('match', models.ForeignKey(blank=True, help_text='The match it was kept from. Empty: tuned by ear.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='voices', to='usage.voicematch')),
            ],
        ),
        migrations.CreateModel(
            name='LongSpeech',
            fields=[
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('generation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='long', serialize=False, to='usage.generation')),
                ('pieces', models.PositiveIntegerField(default=0, help_text='Of the text. 0: not begun.')),
                ('pieces_spoken', models.PositiveIntegerField(default=0)),
                ('characters_spoken', models.PositiveIntegerField(default=0, help_text='Of the text, those that the pieces spoken make up.')),
                ('parts', models.JSONField(blank=True, default=list, help_text='The pieces spoken, as `usage.speech.parts` has them.')),
                ('storing', models.CharField(blank=True, default='', help_text='The file that is being written. What a killed worker has left is found by it.', max_length=200)),
                ('stop_asked_at', models.DateTimeField(blank=True, help_text='When its customer asked to have only what is spoken.', null=True)),
                ('renew_at', models.DateTimeField(blank=True, help_text='When its credits are reserved anew. Empty: it is over.', null=True)),
            ],
            options={
                'verbose_name_plural': 'long speeches',
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='longspeech_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='longspeech_dead'), models.Index(condition=models.Q(('renew_at__isnull', False)), fields=['renew_at'], name='longspeech_renew')],
            },
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(fields=['customer', '-created_at'], name='generation_by_customer'),
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(fields=['-created_at'], name='generation_newest'),
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(condition=models.Q(('state', 'failed')), fields=['-created_at'], name='generation_failed'),
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['taken_at'], name='generation_pending'),
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(condition=models.Q(('audio_deleted_at__isnull', True), ('audio_until_at__isnull', False)), fields=['audio_until_at'], name='generation_audio_until'),
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(condition=models.Q(('again_at__isnull', False)), fields=['customer', 'again_at'], name='generation_again'),
        ),
        migrations.AddConstraint(
            model_name='generation',
            constraint=models.UniqueConstraint(fields=('customer', 'key'), name='generation_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='generation',
            constraint=models.UniqueConstraint(condition=models.Q(('is_making_again', True)), fields=('customer',), name='generation_one_again'),
        ),
        migrations.AddConstraint(
            model_name='pronunciation',
            constraint=models.UniqueConstraint(fields=('customer', 'written'), name='pronunciation_unique'),
        ),
        migrations.AddIndex(
            model_name='usagediscrepancy',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='usagediscrepancy_due'),
        ),
        migrations.AddIndex(
            model_name='usagediscrepancy',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='usagediscrepancy_dead'),
        ),
        migrations.AddIndex(
            model_name='usagediscrepancy',
            index=models.Index(condition=models.Q(('resolved_at', None)), fields=['customer'], name='usagediscrepancy_open'),
        ),
        migrations.AddConstraint(
            model_name='usagediscrepancy',
            constraint=models.UniqueConstraint(fields=('customer', 'hour_at', 'event_type', 'voice_type'), name='usagediscrepancy_unique'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='usageevent_due'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='usageevent_dead'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['customer', '-happened_at', 'credits'], name='usageevent_by_customer'),
        ),
        migrations.AddConstraint(
            model_name='usageevent',
            constraint=models.UniqueConstraint(fields=('transaction_id',), name='usageevent_transaction_id_unique'),
        ),
        migrations.AddIndex(
            model_name='voicematch',
            index=models.Index(fields=['customer', '-created_at'], name='voicematch_by_customer'),
        ),
        migrations.AddIndex(
            model_name='voicematch',
            index=models.Index(condition=models.Q(('state', 'kept'), _negated=True), fields=['created_at'], name='voicematch_open'),
        ),
        migrations.AddConstraint(
            model_name='voicematch',
            constraint=models.UniqueConstraint(fields=('customer', 'key'), name='voicematch_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='voicematch',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'pending')), fields=('customer',), name='voicematch_one_in_progress'),
        ),
        migrations.AddIndex(
            model_name='voice',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['created_at'], name='voice_pending'),
        ),
        migrations.AddConstraint(
            model_name='voice',
            constraint=models.UniqueConstraint(fields=('customer', 'key'), name='voice_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='voice',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'pending')), fields=('customer',), name='voice_one_in_progress'),
        ),
    ]
