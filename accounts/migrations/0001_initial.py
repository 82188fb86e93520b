import accounts.names
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('first_name', models.CharField(blank=True, max_length=100, validators=[accounts.names.check])),
                ('last_name', models.CharField(blank=True, max_length=100, validators=[accounts.names.check])),
                ('email', models.EmailField(error_messages={'unique': 'There is already an account for this e-mail address.'}, max_length=254, unique=True, verbose_name='e-mail address')),
                ('email_confirmed_at', models.DateTimeField(blank=True, help_text='When its owner confirmed it, by a link we had sent there.', null=True, verbose_name='confirmed at')),
                ('new_email', models.EmailField(blank=True, default='', help_text='Asked for; used once its owner has confirmed it.', max_length=254, verbose_name='new e-mail address')),
                ('time_zone', models.CharField(blank=True, default='', help_text='Name in the IANA database, for dates in mails. Empty: UTC.', max_length=64)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
        ),
        migrations.CreateModel(
            name='AuthenticatorApp',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('secret', models.TextField(help_text='Encrypted with SECRET_KEY.')),
                ('last_step', models.BigIntegerField(help_text='The last step of 30 seconds whose code was used: no code is taken twice.')),
                ('added_at', models.DateTimeField()),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='authenticator_app', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='BrowserSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('session_key', models.CharField(max_length=40, unique=True)),
                ('user_agent', models.CharField(blank=True, default='', max_length=300)),
                ('address', models.CharField(help_text='As `accounts.throttle` counts it.', max_length=45)),
                ('began_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField(db_index=True, help_text='To some minutes.')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='browser_sessions', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Customer',
            fields=[
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('metronome_id', models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ('created_at', models.DateTimeField()),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='customer', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(blank=True, max_length=60)),
                ('secret_sha256', models.CharField(max_length=64, unique=True, verbose_name='SHA-256 of the secret')),
                ('first_characters', models.CharField(max_length=8)),
                ('last_characters', models.CharField(max_length=4)),
                ('scopes', models.JSONField(default=list, help_text='What it may be used for.')),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(blank=True, help_text='Empty: never.', null=True)),
                ('last_used_at', models.DateTimeField(blank=True, help_text='To the minute. Empty: never.', null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('idempotency_sha256', models.CharField(blank=True, default='', max_length=64, verbose_name='SHA-256 of the idempotency key')),
                ('request_sha256', models.CharField(blank=True, default='', max_length=64, verbose_name='SHA-256 of the request')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='api_keys', to='accounts.customer')),
            ],
            options={
                'verbose_name': 'API key',
            },
        ),
        migrations.CreateModel(
            name='AccountDeletion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('asked_at', models.DateTimeField()),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='deletion', to='accounts.customer')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='IngestAlias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('stable', 'Stable'), ('email', 'Email')], max_length=10)),
                ('name', models.CharField(max_length=128, unique=True)),
                ('pushed_at', models.DateTimeField(blank=True, help_text='When Metronome confirmed it.', null=True)),
                ('conflict', models.TextField(blank=True, default='', help_text='Why Metronome refused it, if it did.')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='aliases', to='accounts.customer')),
            ],
            options={
                'verbose_name_plural': 'ingest aliases',
            },
        ),
        migrations.CreateModel(
            name='Passkey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('credential_id', models.CharField(help_text='In base64url.', max_length=1400, unique=True)),
                ('public_key', models.BinaryField(help_text='AttestedCredentialData of WebAuthn.')),
                ('sign_count', models.BigIntegerField(help_text='Of its last use; always 0 if it does not count.')),
                ('added_at', models.DateTimeField()),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='passkeys', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='PasswordReset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing to do.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail address')),
                ('asked_at', models.DateTimeField()),
                ('written_at', models.DateTimeField(blank=True, help_text='Its row among the mails says whether it went out.', null=True)),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='passwordreset_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='passwordreset_dead')],
            },
        ),
        migrations.CreateModel(
            name='RecoveryCode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code_sha256', models.CharField(max_length=64, verbose_name='SHA-256 of the code')),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='recovery_codes', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('email', django.db.models.functions.text.Lower('email'))), name='user_email_lower_case'),
        ),
        migrations.AddIndex(
            model_name='customer',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='customer_due'),
        ),
        migrations.AddIndex(
            model_name='customer',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='customer_dead'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_sha256', ''), _negated=True), fields=('customer', 'idempotency_sha256'), name='apikey_idempotency_unique'),
        ),
        migrations.AddIndex(
            model_name='accountdeletion',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='accountdeletion_due'),
        ),
        migrations.AddIndex(
            model_name='accountdeletion',
            index=models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='accountdeletion_dead'),
        ),
        migrations.AddConstraint(
            model_name='ingestalias',
            constraint=models.UniqueConstraint(fields=('customer', 'kind'), name='ingestalias_one_of_each_kind'),
        ),
        migrations.AddConstraint(
            model_name='recoverycode',
            constraint=models.UniqueConstraint(fields=('user', 'code_sha256'), name='recoverycode_unique_of_user'),
        ),
    ]
