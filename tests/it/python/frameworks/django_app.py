import asyncio

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.core.asgi import get_asgi_application
from django.http import JsonResponse, StreamingHttpResponse
from django.template import engines
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the tests",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)


def hello(request, name):
    return HttpResponse(engines["django"].from_string("Hello, {{ name|title }}").render({"name": name}))


def add(request):
    return JsonResponse({"sum": int(request.POST["a"]) + int(request.POST["b"]), "method": request.method})


async def waits(request):
    await asyncio.sleep(0.001)
    return JsonResponse({"waited": True})


def stream(request):
    return StreamingHttpResponse(f"{number}\n" for number in range(3))


urlpatterns = [path("hello/<name>", hello), path("add", add), path("waits", waits), path("stream", stream)]
asgi = get_asgi_application()
wsgi = get_wsgi_application()
