from setuptools import setup

setup(
    name="initagent",
    version="0.1.0",
    description="A Pixell agent",
    packages=[
        'src',
        'src.a2a',
        'src.rest',
    ],
    package_dir={"": "."},
    install_requires=[],
    python_requires=">=3.9",
    include_package_data=True,
)
