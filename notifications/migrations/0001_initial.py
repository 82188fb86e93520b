import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('url', models.CharField(max_length=500)),
                ('events', models.JSONField(default=list, help_text='The kinds of event it wants.')),
                ('secret', models.CharField(max_length=100)),
                ('former_secret', models.CharField(blank=True, default='', max_length=100)),
                ('former_until_at', models.DateTimeField(blank=True, help_text='Until when deliveries are signed with the former one too.', null=True)),
                ('rotations', models.PositiveIntegerField(default=0, help_text='How often it got another secret. A form names the one it replaces.')),
                ('is_enabled', models.BooleanField(default=True)),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('disabled_because', models.CharField(blank=True, default='', max_length=200)),
                ('rests_until_at', models.DateTimeField(blank=True, help_text='It was slow: nothing is sent to it before.', null=True)),
                ('key', models.CharField(help_text='Key of the form: the same form sent twice is one endpoint.', max_length=128)),
                ('body_hash', models.CharField(help_text='SHA-256 of what it was made of: another form with the key is refused.', max_length=64)),
                ('created_at', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(blank=True, help_text='By its customer. Address, secrets and events are gone.', null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='webhook_endpoints', to='accounts.customer')),
            ],
        ),
        migrations.CreateModel(
            name='OutboundWebhook',
            fields=[
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=40)),
                ('key', models.CharField(help_text='Names the event among those of its kind.', max_length=100)),
                ('body', models.TextField(help_text='Exactly what is sent.')),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('delivered', 'Delivered'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='pending', max_length=10)),
                ('tries', models.PositiveIntegerField(default=0, help_text='How often it was sent.')),
                ('give_up_at', models.DateTimeField(help_text='The last attempt.')),
                ('tried_at', models.DateTimeField(blank=True, help_text='The latest attempt.', null=True)),
                ('status', models.PositiveIntegerField(blank=True, help_text='Of the latest answer.', null=True)),
                ('answer', models.TextField(blank=True, default='', help_text='How the latest answer begins.')),
                ('failure', models.CharField(blank=True, default='', max_length=200)),
                ('milliseconds', models.PositiveIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_index=True)),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='webhooks', to='notifications.webhookendpoint')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Banner',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=40)),
                ('key', models.CharField(help_text='Names the event among those of its kind.', max_length=100)),
                ('data', models.JSONField(default=dict)),
                ('urgency', models.PositiveSmallIntegerField(help_text='The least is shown first.')),
                ('until_at', models.DateTimeField(db_index=True, help_text='When it is over.')),
                ('created_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='banners', to='accounts.customer')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('closed_at', None)), fields=['customer', 'urgency'], name='banner_open')],
                'constraints': [models.UniqueConstraint(fields=('customer', 'kind', 'key'), name='banner_once')],
            },
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(condition=models.Q(('is_enabled', True)), fields=['customer'], name='webhookendpoint_enabled'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.UniqueConstraint(fields=('customer', 'key'), name='webhookendpoint_key_unique'),
        ),
        migrations.AddIndex(
            model_name='outboundwebhook',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='outboundwebhook_due'),
        ),
        migrations.AddIndex(
            model_name='outboundwebhook',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='outboundwebhook_dead'),
        ),
        migrations.AddIndex(
            model_name='outboundwebhook',
            index=models.Index(fields=['endpoint', '-created_at'], name='outboundwebhook_newest'),
        ),
        migrations.AddIndex(
            model_name='outboundwebhook',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['endpoint'], name='outboundwebhook_pending'),
        ),
        migrations.AddConstraint(
            model_name='outboundwebhook',
            constraint=models.UniqueConstraint(fields=('endpoint', 'kind', 'key'), name='outboundwebhook_once'),
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(fields=['url'], name='webhookendpoint_url'),
        ),
    ]
