from .catalogue import FAMILIES as FAMILIES
from .family import ISOTROPIC as ISOTROPIC
from .family import Family as Family
from .family import Recipe as Recipe
