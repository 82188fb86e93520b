from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('worker', models.CharField(max_length=100, unique=True)),
                ('queues', models.JSONField(default=list, help_text='Whose jobs it runs.')),
                ('started_at', models.DateTimeField()),
                ('beat_at', models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name='PausedJob',
            fields=[
                ('name', models.CharField(max_length=50, primary_key=True, serialize=False)),
                ('paused_until', models.DateTimeField()),
                ('reason', models.TextField()),
            ],
        ),
    ]
