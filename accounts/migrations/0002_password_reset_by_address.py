from django.db import migrations, models


class Migration(migrations.Migration):
    """A wish waits for seconds and can be made again, so none is carried over."""

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.DeleteModel(name='PasswordReset'),
        migrations.CreateModel(
            name='PasswordReset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField(blank=True, help_text='When a worker looks at this row. Empty: nothing owed.', null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('lease', models.CharField(blank=True, max_length=32, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('dead_at', models.DateTimeField(blank=True, help_text='Given up; needs a person. Retry makes it due again.', null=True)),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail address')),
                ('asked_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('due_at__isnull', False)), fields=['due_at'], name='passwordreset_due'), models.Index(condition=models.Q(('dead_at__isnull', False)), fields=['dead_at'], name='passwordreset_dead')],
            },
        ),
    ]
