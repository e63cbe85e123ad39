"""The names for a program that delivers events: the worker."""

from linking.outbox.backlog import MOST, Backlog, backlog, newest_failures
from linking.outbox.batches import acknowledge, refuse
from linking.outbox.delivery import Delivery, deliver
from linking.outbox.failures import discard, find_event, given_up, retry
from linking.outbox.lease import TIME_LIMIT
from linking.outbox.models import Event, EventBatch, EventFailure
