import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='MailPreferences',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('unwanted', models.JSONField(default=list, help_text='Kinds of mail that are not sent.')),
                ('low_balance_credits', models.PositiveBigIntegerField(blank=True, help_text='At which balance it is low. Empty: at the usual level.', null=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='mail_preferences', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'mail preferences',
            },
        ),
        migrations.CreateModel(
            name='OutboundMail',
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
                ('data', models.JSONField(default=dict, help_text='What the mail is rendered from.')),
                ('to', models.CharField(blank=True, default='', help_text='Empty: the address that the user has when it is sent.', max_length=254, verbose_name='to')),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('sent', 'Sent'), ('skipped', 'Skipped')], default='pending', max_length=10)),
                ('skipped_because', models.CharField(blank=True, default='', max_length=100)),
                ('sent_to', models.CharField(blank=True, default='', max_length=254)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_index=True)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='mails', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='outboundmail_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='outboundmail_dead')],
                'constraints': [models.UniqueConstraint(fields=('user', 'kind', 'key'), name='outboundmail_once')],
            },
        ),
        migrations.AddIndex(
            model_name='outboundmail',
            index=models.Index(fields=['sent_to'], name='outboundmail_sent_to'),
        ),
        migrations.AddIndex(
            model_name='outboundmail',
            index=models.Index(fields=['key'], name='outboundmail_key'),
        ),
    ]
