"""Calls tools through the client that openapi-python-client generated.

Usage: python client.py BASE    (in the folder that holds the package `generated`)

Prints what each call was answered, one JSON object a line.
"""

import json
import sys

from generated import Client
from generated.api.default import find, get_task, paint, tree_add, tree_add_delete
from generated.models import PaintInput, PaintInputColor, TreeAddInput, TreeAddInputNode

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)


def show(response):
    print(json.dumps({"status": int(response.status_code), "body": json.loads(response.content)}))


show(paint.sync_detailed(client=client, body=PaintInput(x=3, y=4, color=PaintInputColor.RED, tags=["a"])))
show(find.sync_detailed(client=client, q="a b&c=ä", limit=2, exact=True))
show(tree_add.sync_detailed(client=client, body=TreeAddInput(name="root", children=[TreeAddInputNode(name="leaf")])))
show(tree_add_delete.sync_detailed(client=client))
show(get_task.sync_detailed("none", client=client))
