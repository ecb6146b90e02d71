"""The asker's side: ask with a time budget, get a future of the reply."""

from timebill_ros.client.reply import Reply, ReplyFuture
from timebill_ros.client.timebill_client import TimeBillClient

__all__ = ['Reply', 'ReplyFuture', 'TimeBillClient']
