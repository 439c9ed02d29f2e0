from setuptools import setup

setup(name='sdk-scaffold', packages=['src'], install_requires=[])
