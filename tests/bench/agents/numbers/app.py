"""The application the native backend and uvicorn both serve when they are measured."""

import numpy
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Line(BaseModel):
    """One line of an order."""

    article: str = Field(min_length=1)
    quantity: int = Field(ge=1)
    price: float


class Order(BaseModel):
    """What a customer wants."""

    customer: str
    express: bool = False
    lines: list[Line]


class Receipt(BaseModel):
    """What the customer owes."""

    customer: str
    articles: int
    total: float


@app.get("/orders/{number}")
async def read(number: int, verbose: bool = False) -> dict[str, object]:
    """A path and a query parameter, and a small JSON answer."""
    return {"number": number, "state": "shipped", "verbose": verbose}


@app.post("/orders")
async def create(order: Order) -> Receipt:
    """A validated body and a validated answer."""
    return Receipt(
        customer=order.customer,
        articles=sum(line.quantity for line in order.lines),
        total=float(
            numpy.dot(
                [line.quantity for line in order.lines], [line.price for line in order.lines]
            )
        ),
    )
