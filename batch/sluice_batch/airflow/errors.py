"""Why a task ends without a result. Airflow tries again after all but those that are an AirflowFailException."""

from airflow.sdk.exceptions import AirflowException, AirflowFailException


class RunFailed(AirflowException):
    """The run failed for a reason that may pass, or its object was taken away; the message has the object's own reason."""


class WouldFailAgain(AirflowFailException):
    """The run failed for a reason that another run of the same spec meets again; the message has that reason."""


class ApiServerUnreachable(AirflowException):
    """It did not answer for as long as we wait, or answered that it cannot."""


class ApiServerRefused(AirflowException):
    """It answered, and said no: permissions, a missing namespace, a missing kind."""


class SpecRefused(AirflowFailException):
    """The arguments make no valid spec; another try would not change that."""


class NotOurs(AirflowFailException):
    """The name is taken by an object that belongs to another task instance, or to nobody in Airflow."""


class ChangedSince(Exception):
    """The object is not any more what was read, or is gone; whoever writes it has to read it again. Never leaves us."""
