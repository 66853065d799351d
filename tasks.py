"""What `invoke` finds: the namespace that `fab` finds in fabfile/."""

from fabfile import namespace

__all__ = ["namespace"]
